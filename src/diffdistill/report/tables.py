"""The tables of results; columns are described in `columns`, and which tables there are in `parts`."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from diffdistill.report import recorded
from diffdistill.report.means import mean_of
from diffdistill.report.results import CHALLENGE, Experiment
from diffdistill.report.train_sets import TRAIN_SETS

OURS = "diffdistill (ours)"


def models(experiments: Sequence[Experiment]) -> pd.DataFrame:
    """The paper's Table 1: the network of each experiment; the layers of a U-ViT include the middle block."""
    rows = []
    for experiment in experiments:
        network = experiment.network or {}
        row: dict[str, Any] = {"experiment": experiment.name, "network": str(network.get("kind", "uvit"))}
        if row["network"] == "uvit":
            row |= {
                "layers": network["depth"] + 1,
                "hidden_size": network["embed_dim"],
                "mlp_size": int(network["embed_dim"] * network["mlp_ratio"]),
                "heads": network["num_heads"],
                "patch": network["patch_size"],
            }
        elif "channels" in network:
            row |= {"channels": network["channels"], "multipliers": ", ".join(map(str, network["multipliers"]))}
        fid = experiment.fid
        row["parameters"] = experiment.generator.get("parameters") if fid is None else int(fid["parameters"].iloc[0])
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def lowest(fid: pd.DataFrame) -> dict[str, Any]:
    """The row of the lowest FID; of equal ones the earliest."""
    return {str(key): value for key, value in fid.sort_values(["fid", "step"]).iloc[0].items()}


def by_ema(fid: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows in the order of iterations by EMA decay; the EMA with the lowest FID is first.

    With a single EMA there is no such column, and one part without a name.
    """
    ordered = fid.sort_values("step")
    if "ema_decay" not in fid:
        return {"": ordered}
    parts = {f"{decay:g}": part for decay, part in ordered.groupby("ema_decay")}
    first = f"{lowest(fid)['ema_decay']:g}"
    return {first: parts.pop(first)} | parts


def generators(experiments: Sequence[Experiment]) -> pd.DataFrame:
    """The paper's Table 2: the lowest FID, how it was measured, and the training.

    training_seconds follows from the logged speed; it includes neither measurements nor time in a queue.
    """
    rows = []
    for experiment in experiments:
        assert experiment.fid is not None
        best = lowest(experiment.fid)
        row = {
            "experiment": experiment.name,
            "fid": float(best["fid"]),
            "fid_images": int(best["images"]),
            "features": best["features"],
            "sampler": best["solver"],
            "nfe": int(best["nfe"]),
            "step": int(best["step"]),
        }
        seconds = training_seconds(experiment)
        if experiment.loss is not None and seconds is not None:
            row |= {"iterations": int(experiment.loss["iteration"].max()), "training_seconds": seconds}
        rows.append(row)
    return pd.DataFrame(rows)


def training_seconds(experiment: Experiment) -> float | None:
    """All iterations at the logged speed; None if nothing was trained, or the batch size is unknown."""
    batch_size = recorded.setting(experiment, "train", "batch_size")
    if experiment.loss is None or batch_size is None:
        return None
    seconds_per_image = float((1 / experiment.loss["images_per_second"]).mean())
    return float(experiment.loss["iteration"].max() * batch_size * seconds_per_image)


def sampling(experiments: Sequence[Experiment]) -> pd.DataFrame:
    """What the accounts say: the samples, the seconds they took, and the size of what made them."""
    rows = []
    for experiment in experiments:
        account = experiment.account or {}
        images = experiment.samples
        rows.append(
            {
                "experiment": experiment.name,
                "generator": str(experiment.generator.get("kind", "unknown")),
                "images": int(account["images"]),
                "images_share": account["images"] / experiment.real.images,
                "bytes": None if images is None else images.bytes,
                "generator_bytes": experiment.generator_bytes,
                "nfe": experiment.generator.get("nfe", account.get("nfe")),
                "seconds": experiment.sampling_seconds,
                "budget_seconds": account.get("budget_seconds"),
                "start_share": account.get("start_share"),
                "images_per_second": account.get("images_per_second"),
            }
        )
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


MEASUREMENTS = (
    "step", "ema_decay", "fid", "class_fid", "label_agreement", "label_agreement_validation", "precision", "recall",
    "pilot_accuracy", "pilot_standard_error", "pilot_setup", "chosen_by",
)  # fmt: skip
"""Columns of fid.csv that readers see; those without a value are left out."""


def measurements(fid: pd.DataFrame) -> pd.DataFrame:
    """A row per measured checkpoint: all that they are compared by, and which one was picked."""
    measured = [column for column in MEASUREMENTS if column in fid and fid[column].notna().any()]
    return fid.sort_values("step")[measured]


def accuracies(experiments: Sequence[Experiment]) -> pd.DataFrame:
    """A row per experiment and train set: its size, and mean and standard deviation of its accuracy over seeds.

    images_share: images as a share of those of the real train split. bytes: of the images, uncompressed.
    generator_bytes: of the generator, for sets that it made. std is NaN for a single run.
    """
    rows = []
    for experiment in experiments:
        runs = experiment.runs
        real = runs.loc[runs["train_set"] == "real", "accuracy"].mean()
        for train_set, about in TRAIN_SETS.items():
            part = runs[runs["train_set"] == train_set]
            if part.empty:
                continue
            images = int(part["images"].iloc[0])
            rows.append(
                {
                    "experiment": experiment.name,
                    "train_set": train_set,
                    "images": images,
                    "images_share": images / experiment.real.images,
                    "bytes": _bytes(experiment, train_set, images),
                    "generator_bytes": experiment.generator_bytes if about.generated else None,
                    **mean_of(part, real),
                }
            )
    table = pd.DataFrame(rows)
    return table.astype({"generator_bytes": "Int64"}) if rows else table


def _bytes(experiment: Experiment, train_set: str, images: int) -> int:
    if train_set == "distilled" and experiment.distilled is not None:
        return experiment.distilled.bytes
    return images * experiment.real.image_bytes


def audit(found: dict[str, Any]) -> pd.DataFrame:
    """A row per measure of the audit: its value with the 95 % interval, its threshold and what follows."""
    keys = ("name", "what", "value", "low", "high", "threshold", "verdict", "source")
    rows = [[measure[key] for key in keys] for measure in found["measures"]]
    return pd.DataFrame(rows, columns=["measure", *keys[1:]])


def leaderboard(published: pd.DataFrame, experiments: Sequence[Experiment]) -> pd.DataFrame:
    """The published rows, and ours at its place in each track by whose protocol both data sets were evaluated.

    Ours has no rank because it was not submitted. Of several experiments on a data set the first counts.
    """
    tracks: dict[int, dict[str, float]] = {1: {}, 2: {}}
    for experiment in experiments:
        track, dataset = experiment.track if experiment.made_here else None, experiment.challenge
        if track is not None and dataset is not None and experiment.accuracy is not None:
            tracks[track].setdefault(dataset, float(experiment.accuracy["accuracy"].mean()))
    rows = [
        {"track": track, "team": OURS, **ours, "average": sum(ours.values()) / len(ours)}
        for track, ours in tracks.items()
        if set(CHALLENGE) <= set(ours)
    ]
    if not rows:
        return published.copy()
    table = pd.concat([published, pd.DataFrame(rows)]).astype({"rank": "Int64"})
    return table.sort_values(["track", "average"], ascending=[True, False], kind="stable", ignore_index=True)
