"""One self-contained page: pictures and styles are inside it, nothing is loaded."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from diffdistill.report import columns, diagnosis, parts, recorded, refining, results, style, tables
from diffdistill.report.html import grid_of, image, template
from diffdistill.report.parts import PICTURE
from diffdistill.report.results import Experiment, Experiments

COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.PINK, style.YELLOW, style.SKY, style.GREY)
MOST_NAMED = 20
"""Up to so many class names are part of a picture's description."""

OVERVIEW = (
    "accuracy", "relative accuracy", "all real images", "images", "images / real images", "made in", "lowest FID",
)  # fmt: skip


def render(experiments: Experiments, tables_folder: Path, figures_folder: Path) -> str:
    """HTML, from the folders that hold the tables and figures of `parts`.

    Raises UserError if a file that the experiments give rise to is missing or broken.
    """
    sections = [
        _section(place, one, tables_folder, figures_folder) for place, one in enumerate(experiments.values(), 1)
    ]

    def shared(section: parts.Section) -> dict[str, Any]:
        return {
            "figures": [
                _figure(figures_folder / f"{part.name}.png", part, part.alt)
                for part in parts.FIGURES
                if part.section == section and part.of_all and parts.covered(part, experiments)
            ],
            "tables": [
                grid_of(part.title, results.table(tables_folder / f"{part.name}.csv"))
                for part in parts.TABLES
                if part.section == section and part.of_all and parts.covered(part, experiments)
            ],
        }

    return template("page.html").render(
        experiments=sections,
        overview=_overview(sections) if len(sections) > 1 else None,
        result=shared("result"),
        training=shared("training"),
        tables=shared("tables"),
        leaderboard=shared("leaderboard"),
    )


def _section(place: int, experiment: Experiment, tables_folder: Path, figures_folder: Path) -> dict[str, Any]:
    """All that the page says of one experiment; None or empty for what its files do not hold."""
    name, titles = experiment.name, experiment.real.titles

    def figures(section: str) -> list[Markup]:
        listed = f": {', '.join(titles)}" if len(titles) <= MOST_NAMED else "; the names are listed below"
        return [
            _figure(
                figures_folder / f"{part.name}_{name}.png", part, part.alt.format(experiment=name, classes=listed)
            )
            for part in parts.FIGURES
            if part.section == section and part.of_each and experiment.has(*part.needs)
        ]  # fmt: skip

    made_with = recorded.settings(experiment)
    return {
        "place": place,
        "name": name,
        "cards": list(_cards(experiment)),
        "key_numbers": _key_numbers(experiment),
        "answers": diagnosis.answers(experiment),
        "samples": figures("samples"),
        "notes": list(_notes(experiment)),
        "titles": titles,
        "measurements": _measurements(experiment),
        "account": _account(experiment, experiment.account) if experiment.account is not None else None,
        "refined": _refined(experiment),
        "study": figures("study"),
        "study_tables": [
            grid_of(part.title, results.table(tables_folder / f"{part.name}_{name}.csv"))
            for part in parts.TABLES
            if part.section == "study" and experiment.has(*part.needs)
        ],
        "audit": grid_of(f"Audit of {name}", tables.audit(experiment.audit)) if experiment.audit is not None else None,
        "audit_pairs": _pairs(experiment),
        "distilled": experiment.files.distilled,
        "versions": _versions(experiment, made_with),
        "made_with": _json(made_with) if made_with else None,
        "differences": _differences(experiment),
        "today": _json(experiment.settings),
    }


def _figure(path: Path, part: parts.Picture, alt: str) -> Markup:
    return image(path, alt, part.caption, part.sharpness, "tall" if part.tall else "chart")


def _pairs(experiment: Experiment) -> Markup | None:
    if experiment.audit_pairs is None:
        return None
    return image(
        experiment.audit_pairs,
        f"Pairs of a generated image of {experiment.name} and the train image nearest to it",
        "The generated images (left of each pair) that are most clearly nearest to a single train image (right). The "
        "number is the ratio of its distance to that of the second nearest: below 0.33 counts as a copy.",
        PICTURE,
        "chart",
    )


def _cards(experiment: Experiment) -> Iterable[tuple[str, str]]:
    """(number, what it is)."""
    rows = diagnosis.rows_of(experiment)
    if experiment.accuracy is not None and "distilled" in rows:
        row = rows["distilled"]
        seeds = [f"{run['accuracy']:.4f} (seed {run['seed']})" for run in experiment.accuracy.to_dict("records")]
        about = "accuracy on real test images of ConvNets trained on the distilled set alone (mean ± standard deviation"
        yield columns.mean_std(row["mean"], row["std"]), f"{about} over seeds): {', '.join(seeds)}"
        if "real" in rows and not pd.isna(row["relative_accuracy"]):
            real = columns.mean_std(rows["real"]["mean"], rows["real"]["std"])
            about = f"relative accuracy: of what the same training reaches on all real images, {real}"
            yield f"{row['relative_accuracy']:.1%}", about
    images = experiment.distilled or experiment.samples
    if images is not None:
        share = columns.times(images.images / experiment.real.images).removesuffix("x")
        made = experiment.making_seconds
        seconds = f", made in {columns.duration(made)}" if made is not None else ""
        about = f"{share} times as many as the {experiment.real.images:,} real train images{seconds}"
        yield f"{columns.count(images.images)} images", about
        generator = experiment.generator_bytes
        beside = f"; the generator takes {columns.size(generator)}" if generator is not None else ""
        yield (
            columns.size(images.bytes),
            f"of pixels; the real train images take {columns.size(experiment.real.bytes)}{beside}",
        )
    if experiment.fid is not None:
        best = tables.lowest(experiment.fid)
        measured = f"{columns.count(best['images'])} images, {best['features']} features"
        yield columns.distance(best["fid"]), f"lowest FID, at iteration {columns.count(best['step'])}: {measured}"


def _key_numbers(experiment: Experiment) -> dict[str, str]:
    """The row of an experiment beside others."""
    rows, images = diagnosis.rows_of(experiment), experiment.distilled or experiment.samples
    made = experiment.making_seconds
    found = {}
    for heading, name in (("accuracy", "distilled"), ("all real images", "real")):
        if name in rows:
            found[heading] = columns.mean_std(rows[name]["mean"], rows[name]["std"])
    if "distilled" in rows and not pd.isna(rows["distilled"]["relative_accuracy"]):
        found["relative accuracy"] = f"{rows['distilled']['relative_accuracy']:.1%}"
    if images is not None:
        found["images"] = columns.count(images.images)
        found["images / real images"] = columns.times(images.images / experiment.real.images)
    if made is not None:
        found["made in"] = columns.duration(made)
    if experiment.fid is not None:
        found["lowest FID"] = columns.distance(tables.lowest(experiment.fid)["fid"])
    return found


def _overview(sections: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The key numbers of several experiments; each row links to its section."""
    headings = [name for name in OVERVIEW if any(name in section["key_numbers"] for section in sections)]
    rows = []
    for section in sections:
        link = Markup('<a href="#experiment-{}">{}</a>').format(section["place"], section["name"])
        rows.append([(link, "text"), *((section["key_numbers"].get(name, ""), "number") for name in headings)])
    return {
        "title": "Key numbers",
        "columns": [("experiment", "text"), *((name, "number") for name in headings)],
        "rows": rows,
    }


def _notes(experiment: Experiment) -> Iterable[str]:
    """What a reader of the pictures needs to know about classes without images or without letters."""
    images = experiment.samples
    if images is not None and images.empty_classes:
        names = [images.titles[label] for label in images.empty_classes]
        listed = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
        yield f"{len(names):,} of {len(images.classes):,} classes have no sample; their places are white: {listed}."
    if not all(map(style.can_show, experiment.real.titles)):
        yield "Names in letters that the font of the pictures lacks are replaced by the number of the class below."


def _measurements(experiment: Experiment) -> dict[str, Any] | None:
    if experiment.fid is None:
        return None
    return grid_of(f"Measurements of {experiment.name}", tables.measurements(experiment.fid))


def _account(experiment: Experiment, account: Mapping[str, Any]) -> dict[str, Any]:
    """What the seconds went into, as far as the account says."""
    generator, used = experiment.generator, experiment.sampling_seconds
    seconds, limit = account.get("seconds"), account.get("budget_seconds")
    phases = sorted(seconds.items(), key=lambda item: -item[1]) if isinstance(seconds, dict) else []
    total = sum(value for _, value in phases) or 1.0
    facts = [f"{columns.count(account['images'])} images"]
    if account.get("images_per_second") is not None:
        facts.append(f"{account['images_per_second']:,.1f} per second")
    if (nfe := generator.get("nfe")) is not None:
        facts.append(f"{nfe} network evaluations per image (NFE)")
    if account.get("batch_size") is not None:
        facts.append(f"batches of up to {account['batch_size']}")
    solver = generator.get("solver")
    start, late = account.get("start_share"), account.get("images_discarded_late")
    of = f" of {limit:g} s ({used / limit:.1%})" if limit and used is not None else ""
    lead = f"{used:.1f} s{of}: " if used is not None else ""
    return {
        "sentences": [
            f"{lead}{', '.join(facts)}.",
            *([f"{start:.1%} of the time had passed when the first of them was begun."] if start is not None else []),
            *([f"{late:,} more came too late to be written and are not counted."] if late else []),
            *([f"Solver: {', '.join(f'{key} {value}' for key, value in solver.items())}."] if solver else []),
            *([f"{account['found']}."] if account.get("found") else []),
        ],
        "phases": [
            {
                "name": phase,
                "flex": value,
                "seconds": f"{value:.2f} s",
                "share": f"{value / total:.1%}",
                "color": COLORS[place % len(COLORS)],
            }
            for place, (phase, value) in enumerate(phases)
        ],
    }


def _refined(experiment: Experiment) -> dict[str, Any] | None:
    """How the set was refined, the start beside the result, and what it taught validation on the way."""
    if experiment.refined is None:
        return None
    pictures = experiment.files.refined_pictures
    caption = "What refining started from (left) beside the refined set (right), a row per class."
    return {
        "sentences": list(refining.sentences(experiment.refined)),
        "picture": None
        if pictures is None
        else image(Path(pictures), f"The start and the refined set of {experiment.name}", caption, PICTURE, "chart"),
        "validations": grid_of(f"Validations of {experiment.name}", refining.validations(experiment.refined)),
    }


def _versions(experiment: Experiment, made_with: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Iteration, seeds and machine, as the files record them."""
    step = experiment.generator.get("step")
    iteration = [("weights of iteration", columns.count(step))] if step is not None else []
    machine = (experiment.account or {}).get("machine", {})
    return [*iteration, *recorded.seeds(made_with), *machine.items()]


def _differences(experiment: Experiment) -> dict[str, Any] | None:
    found = recorded.differences(experiment)
    return None if found.empty else grid_of(f"Changed settings of {experiment.name}", found)


def _json(values: Any) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)
