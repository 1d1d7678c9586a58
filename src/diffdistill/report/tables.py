"""The tables of results: the paper's Tables 1 and 2, the leaderboard, and accuracies beside their baselines."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from diffdistill.errors import UserError
from diffdistill.report.results import Results

TRAIN_SETS = {
    "distilled": "generated images alone",
    "drawn-random": "as many, not selected",
    "drawn": "all that were drawn",
    "real-random": "real images at random",
    "real": "all real images",
}
"""What a ConvNet is trained on, as readers see it; the second and third only where a method selected the first."""
ALWAYS = ("distilled", "real-random", "real")
CHALLENGE = ("cifar100", "tinyimagenet")
OURS = "diffdistill (ours)"


def models(found: Results) -> pd.DataFrame:
    """The paper's Table 1: a row an experiment; layers count the middle block, parameters are the trained network's."""
    rows = []
    for name, experiment in found.experiments.items():
        model = experiment["model"]
        rows.append(
            {
                "experiment": name,
                "layers": model["depth"] + 1,
                "hidden size": model["embed_dim"],
                "MLP size": int(model["embed_dim"] * model["mlp_ratio"]),
                "heads": model["num_heads"],
                "patch": model["patch_size"],
                "parameters": int(found.fid[name]["parameters"].iloc[0]),
            }
        )
    return pd.DataFrame(rows)


def lowest(fid: pd.DataFrame) -> dict[str, Any]:
    """The row of the lowest FID; of equal ones the earliest."""
    return {str(key): value for key, value in fid.sort_values(["fid", "step"]).iloc[0].items()}


def by_length(fid: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows in order of iterations, by the decay of their average; the one that the lowest is of comes first.

    A table of one average has no such column, and gives one part without a name.
    """
    ordered = fid.sort_values("step")
    if "ema_decay" not in fid:
        return {"": ordered}
    parts = {str(decay): part for decay, part in ordered.groupby("ema_decay")}
    first = str(lowest(fid)["ema_decay"])
    return {first: parts.pop(first)} | parts


def generators(found: Results) -> pd.DataFrame:
    """The paper's Table 2: the lowest FID with what it was measured by, the training, and the drawing of the set.

    "training seconds" is what the logged speed says of all iterations: neither evaluation nor waiting in a queue.
    """
    rows = []
    for name, experiment in found.experiments.items():
        best, account = lowest(found.fid[name]), found.budget[name]
        seconds_per_image = (1 / found.loss[name]["images_per_second"]).mean()
        images = experiment["training_iterations"] * experiment["settings"]["train"]["batch_size"]
        rows.append(
            {
                "experiment": name,
                "FID": float(best["fid"]),
                "FID images": int(best["images"]),
                "features": best["features"],
                "sampler": best["solver"],
                "steps": int(best["evaluations"]),
                "at iteration": int(best["step"]),
                "iterations": experiment["training_iterations"],
                "training seconds": round(images * float(seconds_per_image), 1),
                "images drawn": account["images"],
                "drawn in steps": account["evaluations_per_image"],
                "images/s": account["images_per_second"],
            }
        )
    return pd.DataFrame(rows)


MEASUREMENTS = {
    "step": "iteration",
    "ema_decay": "EMA decay",
    "fid": "FID",
    "class_fid": "class FID",
    "label_agreement": "label agreement",
    "label_agreement_validation": "that of validation",
    "precision": "precision",
    "recall": "recall",
    "pilot_accuracy": "pilot accuracy",
    "pilot_standard_error": "its error",
    "pilot_draw": "its way to draw",
    "chosen_by": "chosen by",
}
"""Columns of fid.csv, and what readers see; those that a run did not measure are left out."""


def measurements(fid: pd.DataFrame) -> pd.DataFrame:
    """A row a measurement: all that candidates are compared by, and which one was chosen."""
    measured = {column: name for column, name in MEASUREMENTS.items() if column in fid and fid[column].notna().any()}
    table = fid.sort_values("step")[list(measured)]
    if "ema_decay" in table:  # a setting as it was given, not a number to be rounded
        table["ema_decay"] = table["ema_decay"].map("{:g}".format)
    return table.rename(columns=measured)


def accuracies(accuracy: dict[str, pd.DataFrame], baselines: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per experiment and training set: mean and spread over seeds, and the share kept of the real one's mean.

    std is the sample's (n - 1), empty for a single run. Raises UserError if a training set is missing.
    """
    rows = []
    for name in accuracy:
        runs = pd.concat([accuracy[name], baselines[name]])
        for train_set in ALWAYS:
            if train_set not in set(runs["train_set"]):
                file = "accuracy" if train_set == "distilled" else "baselines"
                raise UserError(f"results/{name}/{file}.csv: no row with train_set '{train_set}'; make it again")
        real = runs.loc[runs["train_set"] == "real", "accuracy"].mean()
        for train_set in TRAIN_SETS:
            part = runs[runs["train_set"] == train_set]
            if not part.empty:
                rows.append({"experiment": name, "train_set": train_set, **mean_of(part, real)})
    return pd.DataFrame(rows)


def mean_of(part: pd.DataFrame, real: float) -> dict[str, Any]:
    """Of trainings on one set: mean and spread (n - 1) of their accuracy, and the share kept of `real`, that on all."""
    mean = part["accuracy"].mean()
    return {
        "images": int(part["images"].iloc[0]),
        "mean": float(mean),
        "std": float(part["accuracy"].std(ddof=1)),
        "runs": len(part),
        "kept": float(mean / real) if real else float("nan"),
    }


def audit(found: dict[str, Any]) -> pd.DataFrame:
    """What the audit measured, each with its 95 % interval and what is expected where nothing is memorised."""
    rows: list[tuple[str, float, float, float, str]] = []
    for space, nearest in found["nearest"].items():
        share = nearest["share_in_train"]
        rows.append(
            (f"nearest real image lies in train, by {space}", share["value"], share["low"], share["high"], "0.5")
        )
    for kind, of in (("generated", "generated images"), ("held_out", "held-out images")):
        part, expected = found["three_times_nearer_to_one"][kind], "as below" if kind == "generated" else "any"
        rows.append((f"{of} three times nearer to one train image", part["value"], part["low"], part["high"], expected))
    member = found["membership"]["all_times"]
    rows.append(("train told by its loss: area", member["auc"], member["auc_low"], member["auc_high"], "0.5"))
    rows.append(
        ("train images found at 1 % false alarms", member["tpr"], member["tpr_low"], member["tpr_high"], "0.01")
    )
    return pd.DataFrame(rows, columns=["measure", "share", "from", "to", "if nothing is memorised"])


def leaderboard(published: pd.DataFrame, accuracy: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The published rows as they are, and ours where it falls in track 2 once both data sets have been run.

    Ours has no rank: it was not submitted.
    """
    if not set(CHALLENGE) <= set(accuracy):
        return published.copy()
    ours = {name: float(accuracy[name]["accuracy"].mean()) for name in CHALLENGE}
    row = {"track": 2, "team": OURS, **ours, "average": sum(ours.values()) / len(ours)}
    table = pd.concat([published, pd.DataFrame([row])]).astype({"rank": "Int64"})
    return table.sort_values(["track", "average"], ascending=[True, False], kind="stable", ignore_index=True)


def count(value: float) -> str:
    """80,000"""
    return f"{value:,.0f}"


def _share(value: float) -> str:
    return f"{value:.4f}"


def distance(value: float) -> str:
    """39.85, and 0.0086 as classifier features make them."""
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def _parameters(value: float) -> str:
    return f"{value / 1e6:.1f}M" if value >= 1e6 else f"{value / 1e3:.0f}K"


def duration(seconds: float) -> str:
    """The two units that matter: 41.2 s, 12.5 min, 26.9 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


FORMATS: dict[str, Callable[[float], str]] = {
    **dict.fromkeys(("mean", "std", "kept", "share", "from", "to", "cifar100", "tinyimagenet", "average"), _share),
    **dict.fromkeys(("label agreement", "that of validation", "precision", "recall"), _share),
    **dict.fromkeys(("pilot accuracy", "its error"), _share),
    **dict.fromkeys(("FID", "class FID"), distance),
    "images/s": "{:,.1f}".format,
    "parameters": _parameters,
    "training seconds": duration,
}


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The same table as text for readers; nothing where there is no value."""

    def text(column: str, value: Any) -> str:
        if pd.isna(value):
            return ""
        return value if isinstance(value, str) else FORMATS.get(column, count)(float(value))

    columns = {column: [text(column, value) for value in table[column]] for column in map(str, table.columns)}
    renamed = {"training seconds": "training time"}  # the unit now stands beside each number
    return pd.DataFrame(columns, dtype=str).rename(columns=renamed)


def numeric(table: pd.DataFrame) -> list[bool]:
    """Which columns hold numbers, to be set flush right."""
    return [pd.api.types.is_numeric_dtype(table[column]) for column in table]


def texts(table: pd.DataFrame) -> dict[str, str]:
    """As csv (numbers with six digits), md and tex (rounded for readers), by ending."""
    text, numbers = shown(table), numeric(table)
    alignment = ["right" if number else "left" for number in numbers]
    return {
        "csv": table.to_csv(index=False, float_format="%.6g"),
        "md": text.to_markdown(index=False, disable_numparse=True, colalign=alignment) + "\n",
        "tex": text.to_latex(index=False, escape=True, column_format="".join(side[0] for side in alignment)),
    }


def spread(mean: float, std: float) -> str:
    """0.9675 ± 0.0025, or the mean alone where a single run has no spread."""
    return _share(mean) if pd.isna(std) else f"{_share(mean)} ± {_share(std)}"


def summary(accuracy: dict[str, pd.DataFrame], baselines: dict[str, pd.DataFrame], page: str) -> str:
    """The few lines that end a run."""
    lines = []
    table = accuracies(accuracy, baselines)
    for name, runs in accuracy.items():
        rows = {row["train_set"]: row for row in table[table["experiment"] == name].to_dict("records")}
        lines.append(f"{name}: accuracy on real test images of ConvNets trained on")
        for train_set, row in rows.items():
            lines.append(
                f"  {TRAIN_SETS[train_set]:<22}  {spread(row['mean'], row['std']):<15}  ({row['images']:,} images)"
            )
        seeds = ", ".join(f"{row['seed']}: {_share(row['accuracy'])}" for row in runs.to_dict("records"))
        lines.append(f"  generated, by seed: {seeds}")
        lines.append(f"  accuracy kept: {_share(rows['distilled']['kept'])} of that of all real images")
    return "\n".join([*lines, f"report: {page}", ""])
