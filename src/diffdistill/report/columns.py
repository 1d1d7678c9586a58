"""The columns of all tables: which hold text, their headings, and how their numbers are written for readers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

Format = Callable[[float], str]


def count(value: float) -> str:
    """80,000"""
    return f"{value:,.0f}"


def share(value: float) -> str:
    """0.9675"""
    return f"{value:.4f}"


def distance(value: float) -> str:
    """39.85, and 0.0086 for small values such as those between classifier features."""
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def times(value: float) -> str:
    """Images as a share of others: 12.3x, 0.43x, 0.002x."""
    return f"{value:.1f}x" if value >= 10 else f"{value:.2f}x" if value >= 0.1 else f"{value:.2g}x"


def parameters(value: float) -> str:
    """44.3M, 57K"""
    return f"{value / 1e6:.1f}M" if value >= 1e6 else f"{value / 1e3:.0f}K"


def size(value: float) -> str:
    """Bytes in powers of 1,000: 64 B, 3.1 kB, 153.6 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """41.2 s, 12.5 min, 26.9 h"""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def mean_std(mean: float, std: float) -> str:
    """0.9675 ± 0.0025, or the mean alone for a single run."""
    return share(mean) if pd.isna(std) else f"{share(mean)} ± {share(std)}"


def difference(value: float) -> str:
    """-0.0120, +0.0031"""
    return f"{value:+.4f}"


def _speed(value: float) -> str:
    return f"{value:,.1f}"


@dataclass(frozen=True)
class Column:
    heading: str
    format: Format = count


SHARES = (
    "mean", "std", "value", "low", "high", "threshold", "label_agreement", "label_agreement_validation",
    "precision", "recall", "pilot_accuracy", "pilot_standard_error", "relative_accuracy", "cifar100", "tinyimagenet",
    "average", "macro_accuracy", "worst_class_accuracy", "validation_accuracy",
)  # fmt: skip
COLUMNS: dict[str, Column] = {
    **{name: Column(name.replace("_", " "), share) for name in SHARES},
    "label_agreement_validation": Column("label agreement of validation", share),
    "images_share": Column("images / real images", times),
    "bytes": Column("bytes", size),
    "difference": Column("difference to the best (95 %)", difference),
    "images_per_class": Column("images per class", "{:g}".format),
    "generator_bytes": Column("generator bytes", size),
    "parameters": Column("parameters", parameters),
    "fid": Column("FID", distance),
    "class_fid": Column("class FID", distance),
    "fid_images": Column("FID images"),
    "nfe": Column("NFE"),
    "ema_decay": Column("EMA decay", "{:g}".format),
    "step": Column("iteration"),
    "images_per_second": Column("images per second", _speed),
    "training_seconds": Column("training time", duration),
    "seconds": Column("time", duration),
    "budget_seconds": Column("budget", duration),
    "start_share": Column("share of the start", share),
    "mlp_size": Column("MLP size"),
}
"""By the name in the csv file; others have their name as heading and are counts."""
TEXT = {
    "experiment", "dataset", "train_set", "features", "features_sha256", "classifier_sha256", "solver", "sampler",
    "team", "network", "generator", "multipliers", "ablation", "axis", "architecture", "labels", "measure", "finding",
    "uncertainty", "note", "expected", "pilot_setup", "chosen_by", "reference", "weights", "source_checksum",
    "set", "seeds", "audit", "not_compared", "settings", "protocol", "setting", "made_with", "today", "file",
    "what", "verdict", "source", "reason",
}  # fmt: skip
"""Columns of names: `NA`, `true` or `1e5` is a name there."""


def heading(column: str) -> str:
    return COLUMNS[column].heading if column in COLUMNS else column.replace("_", " ")


def is_text(column: str) -> bool:
    return column in TEXT


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text for readers, with headings; empty where there is no value."""

    def text(column: str, value: Any) -> str:
        if pd.isna(value):
            return ""
        if isinstance(value, str):
            return value
        return COLUMNS.get(column, Column(column)).format(float(value))

    values = {heading(column): [text(column, value) for value in table[column]] for column in map(str, table.columns)}
    return pd.DataFrame(values, dtype=str)


def numeric(table: pd.DataFrame) -> list[bool]:
    """Which columns hold numbers; they are aligned right."""
    return [not is_text(str(column)) for column in table]


def texts(table: pd.DataFrame) -> dict[str, str]:
    """By ending: csv with six significant digits, md and tex rounded for readers."""
    text, numbers = shown(table), numeric(table)
    alignment = ["right" if number else "left" for number in numbers]
    return {
        "csv": table.to_csv(index=False, float_format="%.6g"),
        "md": text.to_markdown(index=False, disable_numparse=True, colalign=alignment) + "\n",
        "tex": text.to_latex(index=False, escape=True, column_format="".join(side[0] for side in alignment)),
    }
