"""One page of everything, self-contained: pictures and styles are inside it, nothing is loaded."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from diffdistill.errors import UserError
from diffdistill.report import tables
from diffdistill.report.results import Results

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")


def render(results: Results, figures: Mapping[str, Path], shown: Mapping[str, pd.DataFrame]) -> str:
    """HTML. figures: png files by name; shown: tables by title. Raises UserError if a figure or baseline is missing."""

    def figure(name: str, alt: str, caption: str) -> Markup:
        try:
            data = base64.b64encode(figures[name].read_bytes()).decode()
        except (KeyError, FileNotFoundError) as error:
            raise UserError(f"figure {name}: no such png; run the rule figures") from error
        return Markup(
            '<figure><img src="data:image/png;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>'
        ).format(data, alt, caption)

    accuracies = tables.accuracies(results.accuracy, results.baselines).to_dict("records")
    rows: dict[tuple[str, str], Any] = {(row["experiment"], row["train_set"]): row for row in accuracies}
    experiments = [
        {
            "name": name,
            "headline": _headline(results.accuracy[name], rows[name, "distilled"], rows[name, "real"]),
            "budget": _budget(results.budget[name]),
            "settings": json.dumps(experiment["settings"], indent=2, ensure_ascii=False),
            "seeds": list(_seeds(experiment["settings"])),
            "machine": results.budget[name]["machine"],
        }
        for name, experiment in results.experiments.items()
    ]
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("diffdistill", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html")
    return template.render(
        experiments=experiments, figure=figure, tables=[_table(title, table) for title, table in shown.items()]
    )


def _headline(runs: pd.DataFrame, distilled: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    seeds = [f"{row['accuracy']:.4f} (seed {row['seed']})" for row in runs.to_dict("records")]
    return {
        "accuracy": tables.spread(distilled["mean"], distilled["std"]),
        "seeds": ", ".join(seeds),
        "real": tables.spread(real["mean"], real["std"]),
        "kept": "none" if pd.isna(distilled["kept"]) else f"{distilled['kept']:.1%}",
    }


def _budget(account: dict[str, Any]) -> dict[str, Any]:
    phases = sorted(account["seconds"].items(), key=lambda item: -item[1])
    used, limit = account["used_seconds"], account["budget_seconds"]
    return {
        "images": account["images"],
        "used": f"{used:.1f}",
        "of": f" of {limit:g} s ({used / limit:.1%})" if limit else "",
        "speed": f"{account['images_per_second']:.1f}",
        "evaluations": account["evaluations_per_image"],
        "batch_size": account["batch_size"],
        "solver": ", ".join(f"{key} {value}" for key, value in account["solver"].items()),
        "seed": account["seed"],
        "step": account["step"],
        "phases": [
            {"name": phase, "seconds": seconds, "share": f"{seconds / used:.1%}", "color": COLORS[place % len(COLORS)]}
            for place, (phase, seconds) in enumerate(phases)
        ],
    }


def _seeds(settings: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every seed among the settings with its place, such as train.seed."""
    for key, value in settings.items():
        place = f"{path}{key}"
        if key in ("seed", "seeds"):
            yield place, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        elif isinstance(value, dict):
            yield from _seeds(value, f"{place}.")


def _table(title: str, table: pd.DataFrame) -> dict[str, Any]:
    text = tables.shown(table)
    sides = ["number" if number else "text" for number in tables.numeric(table)]
    return {
        "title": title,
        "columns": list(zip(text.columns, sides, strict=True)),
        "rows": [list(zip(row, sides, strict=True)) for row in text.to_numpy().tolist()],
    }
