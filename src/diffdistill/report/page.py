"""One page of everything, self-contained: pictures and styles are inside it, nothing is loaded."""

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from diffdistill.errors import UserError
from diffdistill.report import diagnosis, tables
from diffdistill.report.results import Results

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")
CHART, PICTURE = 2, 1.5
"""Pixels of a figure for one of the page, whose text then is as large as the page's."""
MOST_SAID = 20
"""Of no more classes the names are part of a picture's description."""


LEADERBOARD = "Leaderboard"
"""The table that the page shows only beside an experiment on one of the challenge's data sets."""


def render(
    results: Results,
    figures: Mapping[str, Path],
    shown: Mapping[str, pd.DataFrame],
    names: Mapping[str, list[str]],
    studies: Mapping[str, Mapping[str, pd.DataFrame]],
    audits: Mapping[str, dict[str, Any]],
) -> str:
    """HTML. figures: png files by name; shown: tables by title; names: of the classes, by experiment.

    studies: tables by title, of the experiments that have a study, whose figure is `study_` and the name.
    audits: what the rule audit found of each experiment, whose figure is `audit_` and the name.
    Raises UserError if a figure or baseline is missing.
    """

    def figure(name: str, alt: str, caption: str, sharpness: float = CHART, style: str = "chart") -> Markup:
        try:
            data = figures[name].read_bytes()
        except (KeyError, FileNotFoundError) as error:
            raise UserError(f"figure {name}: no such png; run the rule figures") from error
        sides = struct.unpack(">II", data[16:24])  # of every png; the page keeps the room before it is decoded
        width, height = (round(side / sharpness) for side in sides)
        return Markup(
            '<figure><div class="{}"><img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}"></div>'
            "<figcaption>{}</figcaption></figure>"
        ).format(style, base64.b64encode(data).decode(), width, height, alt, caption)

    accuracies = tables.accuracies(results.accuracy, results.baselines).to_dict("records")
    rows: dict[tuple[str, str], Any] = {(row["experiment"], row["train_set"]): row for row in accuracies}
    experiments = [
        {
            "name": name,
            "headline": _headline(results, name, rows[name, "distilled"], rows[name, "real"]),
            "measurements": _table(f"Measurements of {name}", tables.measurements(results.fid[name])),
            "answers": diagnosis.answers(results, name, audits[name]),
            "audit": _table(f"Audit of {name}", tables.audit(audits[name])),
            "budget": _budget(results.budget[name]),
            "names": names[name],
            "said": f": {', '.join(names[name])}" if len(names[name]) <= MOST_SAID else "; the names stand below",
            "study": [_table(title, table) for title, table in studies.get(name, {}).items()],
            "settings": json.dumps(experiment["settings"], indent=2, ensure_ascii=False),
            "versions": _versions(results.budget[name], experiment["settings"]),
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
    challenged = any(experiment["dataset"] in tables.CHALLENGE for experiment in results.experiments.values())
    grids = {title: _table(title, table) for title, table in shown.items()}
    leaderboard = grids.pop(LEADERBOARD)
    return template.render(
        experiments=experiments,
        overview=_overview(experiments),
        figure=figure,
        PICTURE=PICTURE,
        tables=grids.values(),
        leaderboard=leaderboard if challenged else None,
    )


def _headline(results: Results, name: str, distilled: dict[str, Any], real: dict[str, Any]) -> dict[str, str]:
    seeds = [f"{row['accuracy']:.4f} (seed {row['seed']})" for row in results.accuracy[name].to_dict("records")]
    best = tables.lowest(results.fid[name])
    return {
        "accuracy": tables.spread(distilled["mean"], distilled["std"]),
        "seeds": ", ".join(seeds),
        "real": tables.spread(real["mean"], real["std"]),
        "kept": "none" if pd.isna(distilled["kept"]) else f"{distilled['kept']:.1%}",
        "fid": tables.distance(best["fid"]),
        "step": tables.count(best["step"]),
        "measured": f"{tables.count(best['images'])} images, {best['features']} features",
    }


def _overview(experiments: list[dict[str, Any]]) -> dict[str, Any]:
    """The key numbers of several experiments, a row each that leads to its section."""
    columns = ("accuracy", "kept", "all real images", "generated images", "made in", "lowest FID")
    rows = []
    for place, experiment in enumerate(experiments, 1):
        head, budget = experiment["headline"], experiment["budget"]
        values = head["accuracy"], head["kept"], head["real"], budget["images"], budget["used"], head["fid"]
        link = Markup('<a href="#experiment-{}">{}</a>').format(place, experiment["name"])
        rows.append([(link, "text"), *((value, "number") for value in values)])
    return {
        "title": "Key numbers",
        "columns": [("experiment", "text"), *((column, "number") for column in columns)],
        "rows": rows,
    }


def _budget(account: dict[str, Any]) -> dict[str, Any]:
    phases = sorted(account["seconds"].items(), key=lambda item: -item[1])
    used, limit = account["used_seconds"], account["budget_seconds"]
    late, total = account["images_discarded_late"], sum(account["seconds"].values())
    return {
        "images": tables.count(account["images"]),
        "used": f"{used:.1f} s",
        "of": f" of {limit:g} s ({used / limit:.1%})" if limit else "",
        "speed": f"{account['images_per_second']:,.1f}",
        "late": f" {late} more came too late to be written and are not counted." if late else "",
        "evaluations": account["evaluations_per_image"],
        "batch_size": account["batch_size"],
        "solver": ", ".join(f"{key} {value}" for key, value in account["solver"].items()),
        "phases": [
            {
                "name": phase,
                "flex": seconds,
                "seconds": f"{seconds:.2f} s",
                "share": f"{seconds / total:.1%}",
                "color": COLORS[place % len(COLORS)],
            }
            for place, (phase, seconds) in enumerate(phases)
        ],
    }


def _versions(account: dict[str, Any], settings: Any) -> list[tuple[str, Any]]:
    drawn = [("weights of iteration", tables.count(account["step"])), ("seed of the drawn images", account["seed"])]
    return [*drawn, *_seeds(settings), *account["machine"].items()]


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
