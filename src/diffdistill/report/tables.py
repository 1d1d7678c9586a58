"""The tables of results: the paper's Tables 1 and 2, the leaderboard, and accuracies beside their baselines."""

from typing import Any

import pandas as pd

from diffdistill.errors import UserError


def models(experiments: dict[str, Any]) -> pd.DataFrame:
    """The paper's Table 1: a row an experiment; layers count the middle block."""
    rows = []
    for name, experiment in experiments.items():
        model = experiment["model"]
        rows.append(
            {
                "experiment": name,
                "layers": model["depth"] + 1,
                "hidden size": model["embed_dim"],
                "MLP size": int(model["embed_dim"] * model["mlp_ratio"]),
                "heads": model["num_heads"],
                "patch": model["patch_size"],
            }
        )
    return pd.DataFrame(rows)


def generators(experiments: dict[str, Any], fid: dict[str, pd.DataFrame], budget: dict[str, Any]) -> pd.DataFrame:
    """The paper's Table 2: the lowest FID and what it was measured with, and the sampler of the distilled set."""
    rows = []
    for name, experiment in experiments.items():
        best = fid[name].sort_values(["fid", "step"]).iloc[0]
        rows.append(
            {
                "experiment": name,
                "FID": round(float(best["fid"]), 2),
                "at iteration": int(best["step"]),
                "of": experiment["training_iterations"],
                "FID images": int(best["images"]),
                "features": best["features"],
                "sampler": budget[name]["solver"]["algorithm"],
                "steps": budget[name]["evaluations_per_image"],
                "images/s": budget[name]["images_per_second"],
            }
        )
    return pd.DataFrame(rows)


def accuracies(accuracy: dict[str, pd.DataFrame], baselines: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per experiment and training set: mean and spread over seeds, and the share kept of the real one's mean.

    Raises UserError if the real baseline is missing.
    """
    rows = []
    for name in accuracy:
        runs = pd.concat([accuracy[name], baselines[name]])
        if "real" not in set(runs["train_set"]):
            raise UserError(f"results/{name}/baselines.csv: no row with train_set 'real'; make it again")
        real = runs[runs["train_set"] == "real"]["accuracy"].mean()
        for train_set in ("distilled", "real-random", "real"):
            part = runs[runs["train_set"] == train_set]
            rows.append(
                {
                    "experiment": name,
                    "trained on": train_set,
                    "images": int(part["images"].iloc[0]),
                    "seeds": len(part),
                    "accuracy": round(float(part["accuracy"].mean()), 4),
                    "std": round(float(part["accuracy"].std(ddof=1)) if len(part) > 1 else 0.0, 4),
                    "kept": round(float(part["accuracy"].mean() / real), 4),
                }
            )
    return pd.DataFrame(rows)


def leaderboard(published: pd.DataFrame, accuracy: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The published rows, and ours in track 2 once both of the challenge's data sets have been run."""
    table = published.copy()
    if {"cifar100", "tinyimagenet"} <= set(accuracy):
        ours = {name: round(float(accuracy[name]["accuracy"].mean()), 4) for name in ("cifar100", "tinyimagenet")}
        average = round(sum(ours.values()) / 2, 4)
        table = pd.concat(
            [table, pd.DataFrame([{"track": 2, "team": "diffdistill (ours)", **ours, "average": average}])]
        )
        table = table.sort_values(["track", "average"], ascending=[True, False])
        table["rank"] = table.groupby("track")["average"].rank(ascending=False, method="first").astype(int)
    return table


def summary(accuracy: dict[str, pd.DataFrame], baselines: dict[str, pd.DataFrame], page: str) -> str:
    """The few lines that end a run."""
    lines = []
    table = accuracies(accuracy, baselines)
    for name in accuracy:
        seeds = ", ".join(f"{value:.4f}" for value in accuracy[name]["accuracy"])
        lines.append(f"{name}: accuracy of ConvNets trained on generated images alone, by seed: {seeds}")
        for row in table[table["experiment"] == name].to_dict("records"):
            lines.append(
                f"  {row['trained on']:<12} {row['accuracy']:.4f} +- {row['std']:.4f}"
                f"  ({row['images']} images, kept {row['kept']:.4f})"
            )
    return "\n".join([*lines, f"report: {page}", ""])
