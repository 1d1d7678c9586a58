"""One page of everything, self-contained: pictures and styles are inside it, nothing is loaded."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from diffdistill.report import tables
from diffdistill.report.results import Results

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#9a9a9a")


def render(results: Results, figures: Mapping[str, Path], shown: Mapping[str, pd.DataFrame]) -> str:
    """HTML. figures: png files by name; shown: tables by title."""

    def figure(name: str, caption: str) -> Markup:
        data = base64.b64encode(figures[name].read_bytes()).decode()
        return Markup(
            '<figure><img src="data:image/png;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>'
        ).format(data, caption, caption)

    accuracies = tables.accuracies(results.accuracy, results.baselines).to_dict("records")
    rows: dict[tuple[str, str], Any] = {(row["experiment"], row["trained on"]): row for row in accuracies}
    cards, budgets, settings = [], [], []
    for name, experiment in results.experiments.items():
        distilled, real = rows[name, "distilled"], rows[name, "real"]
        budget = results.budget[name]
        cards.append(
            {
                "name": name,
                "accuracy": f"{distilled['accuracy']:.4f} ± {distilled['std']:.4f}",
                "seeds": int(distilled["seeds"]),
                "real": f"{real['accuracy']:.4f} ± {real['std']:.4f}",
                "kept": f"{distilled['kept']:.4f}",
                "images": budget["images"],
                "seconds": budget["used_seconds"],
            }
        )
        budgets.append(_budget(name, budget))
        settings.append((name, json.dumps(experiment["settings"], indent=2), json.dumps(budget["machine"], indent=2)))
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("diffdistill", "report"), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("page.html")
    return template.render(
        experiments=list(results.experiments),
        cards=cards,
        budgets=budgets,
        settings=settings,
        figure=figure,
        tables=[(title, Markup(table.to_html(index=False, border=0, na_rep=""))) for title, table in shown.items()],
    )


def _budget(name: str, account: dict[str, Any]) -> dict[str, Any]:
    phases = sorted(account["seconds"].items(), key=lambda item: -item[1])
    limit = account["budget_seconds"]
    return {
        "name": name,
        "used": account["used_seconds"],
        "limit": limit,
        "share": round(100 * account["used_seconds"] / limit, 1) if limit else None,
        "images": account["images"],
        "speed": account["images_per_second"],
        "evaluations": account["evaluations_per_image"],
        "phases": [
            {"name": phase, "seconds": seconds, "color": COLORS[place % len(COLORS)]}
            for place, (phase, seconds) in enumerate(phases)
        ],
    }
