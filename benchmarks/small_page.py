"""benchmarks/SMALL.md, from the rows of small.jsonl."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffdistill import config
from diffdistill.config.refine import Refine
from diffdistill.metrics import scores

PATH = Path(__file__).parent / "SMALL.md"
WHOLE = ("real", "generated")
SETS = (
    *(f"{source}-{how}" for source in ("real", "generated") for how in ("random", "herding", "modes")),
    "generated-guided",
    *(f"refined-{start}" for start in ("real", "noise", "generated")),
    *WHOLE,
)
WAYS = {
    "hard": "",
    "soft": ", soft labels of a classifier trained on all real images",
    "plain": ", without augmentation",
    "field": ", 1,000 epochs of width 128 as in the papers on small sets, in bfloat16",
}
"""How classifiers are trained: the end of a table's heading."""


UNNAMED_GENERATOR = {"digits": "digits", "fashion": "fashion_unet_hour_1"}
"""By data: the experiment whose samples were used by rows that do not name it."""


def generator(row: dict[str, Any]) -> str | None:
    """The experiment whose samples the set was made from."""
    return row.get("generator", UNNAMED_GENERATOR[row["data"]]) if "generated" in row["set"] else None


def name(row: dict[str, Any]) -> str:
    """The name of the set, with its variant."""
    return f"{row['set']}, {row['variant']}" if row.get("variant") else str(row["set"])


def trainings(architecture: str) -> int:
    """How many networks are trained on a set where nothing else is said."""
    return 5 if architecture == "convnet" else 3


def cell(row: dict[str, Any]) -> str:
    """Mean and standard deviation, per cent, and the number of trainings where it is not the usual one."""
    accuracies = row["accuracies"]
    spread = f" ± {100 * statistics.stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
    unusual = len(accuracies) != trainings(row["architecture"])
    return f"{100 * statistics.mean(accuracies):.1f}{spread}{f' ({len(accuracies)})' if unusual else ''}"


HEAD = """# What small sets teach

Written by `python -m benchmarks.small page` from the rows in small.jsonl, each appended when it was measured. Accuracy
on the real test split, mean and standard deviation in per cent: five ConvNets of the experiment's protocol, three of
other networks, and where it was another number it stands in brackets. They are trained with hard labels on the set's
bytes as they are on disk, if the heading names no other way. `random` and `guided` sets differ from training to
training, `modes` in the seed of k-means, the others are one set each. Settings were chosen on validation, apart from
those of digits at 50 per class: two methods were equal on validation, and the test accuracy of one was known. ResNets
of Fashion-MNIST are trained in bfloat16. Seconds: of refining on one thread of a busy machine, short trainings on
validation included.
"""
PUBLISHED = """## Published rows

Gradient matching without augmentation (arXiv 2006.05929; figures of the readme of VICO-UoE/DatasetCondensation):
ConvNet-3 of width 128, images as floats, on a GPU. Another protocol than ours; MNIST is other data than the digits
above.

| data | 1 per class | 10 per class | 50 per class |
|---|---|---|---|
| Fashion-MNIST | 70.5 | 82.3 | 83.6 |
| MNIST | 91.7 | 97.4 | 98.8 |
"""


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The tables; of a row that was measured twice the last one counts."""
    last = {identity(row): row for row in rows}
    parts = [HEAD]
    for data, title in (("digits", "Digits, 8x8"), ("fashion", "Fashion-MNIST, 28x28")):
        for architecture in ("convnet", "resnet18", "mobilenet"):
            for way, about in WAYS.items():
                found = {key[3:]: row for key, row in last.items() if key[:3] == (data, architecture, way)}
                if found:
                    parts.append(f"## {title}: {architecture}{about}\n\n{_table(found)}\n")
        if of_scores := _scores({key[2:]: row for key, row in last.items() if key[:2] == (data, "convnet")}):
            parts.append(f"## {title}: scores\n\n{of_scores}\n")
        refining = {key[3:]: row for architecture in ("resnet18", "mobilenet", "convnet") for key, row in last.items()
                    if key[:2] == (data, architecture) and "refine" in row}  # fmt: skip
        if refining:
            parts.append(f"## {title}: how they were refined\n\n{_refining(list(refining.values()))}\n")
    earlier = [row for row in rows if row is not last[identity(row)] and not _continued(row, last[identity(row)])]
    if earlier:
        lines = [
            f"- {row['data']}, {name(row)}, {row['per_class']} per class: {cell(row)}{_how(row)}" for row in earlier
        ]
        parts.append("## Measured before, with other settings or on another machine\n\n" + "\n".join(lines) + "\n")
    machines = dict.fromkeys(row["machine"] for row in rows if "machine" in row)
    measured = [f"On {one}." for one in machines] + [
        "Rows from before machines were recorded: on AMD EPYC, bfloat16 True."
    ]
    return "\n".join([*parts, PUBLISHED, "\n\n".join(measured) + "\n"])


def _scores(found: dict[tuple[str, str, int], dict[str, Any]]) -> str:
    """LRS and ARS of the sets that were measured in all the ways they need; by way, set and images per class."""
    mean = {key: statistics.mean(row["accuracies"]) for key, row in found.items()}
    real, lines = mean.get(("hard", "real", 0)), []
    for _, name, size in sorted(key for key in mean if key[0] == "hard" and key[1] not in ("real", "real-random")):
        distilled, random = mean["hard", name, size], mean.get(("hard", "real-random", size))
        if real is None or random is None:
            continue
        plain = [mean.get(("plain", one, size)) for one in (name, "real-random")]
        ars = scores.augmentation_robust(distilled, random, plain[0], plain[1]) if plain[0] and plain[1] else None
        lines.append(f"| {name} | {size} | {scores.label_robust(real, distilled, random):.3f} "
                     f"| {'' if ars is None else f'{ars:.3f}'} |")  # fmt: skip
    head = "LRS and ARS of DD-Ranking from the means above; 0.269 is a set that equals its rivals.\n\n"
    return head + "\n".join(["| set | per class | LRS | ARS |", "|---|---|---|---|", *lines]) if lines else ""


def identity(row: dict[str, Any]) -> tuple[str, str, str, str, int]:
    """What is measured: a later row of the same replaces an earlier one."""
    return row["data"], row["architecture"], row.get("way", "hard"), name(row), row["per_class"]


def _continued(row: dict[str, Any], later: dict[str, Any]) -> bool:
    """Whether the later row only adds trainings."""
    return bool(later["accuracies"][: len(row["accuracies"])] == row["accuracies"])


def _how(row: dict[str, Any]) -> str:
    """The settings of refining that were given."""
    if "refine" not in row:
        return ""
    block = config.read(Refine, row["refine"], PATH.name)
    return f" ({block.iterations} iterations, start {block.start_pick}, validated with {len(block.validation_seeds)})"


def _table(found: dict[tuple[str, int], dict[str, Any]]) -> str:
    sizes = sorted({size for _, size in found if size})
    lines = [f"| set | {' | '.join(f'{size} per class' for size in sizes)} |", "|---" * (1 + len(sizes)) + "|"]
    for _, one in sorted({(SETS.index(row["set"]), one) for (one, size), row in found.items() if size}):
        cells = [cell(found[one, size]) if (one, size) in found else "" for size in sizes]
        lines.append(f"| {one} | {' | '.join(cells)} |")
    lines += _generators(found)
    for one in WHOLE:
        if row := found.get((one, 0), {}):
            suffix = f" of `{source}`" if (source := generator(row)) else ""
            lines.append(f"\nAll {row['images']} {one} images{suffix}: {cell(row)}.")
    return "\n".join(lines)


def _generators(found: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """The sets of each generator, a line each, if a table has more than one generator."""
    sources = dict[str, dict[str, list[str]]]()
    for (one, size), row in sorted(found.items()):
        if size and (source := generator(row)):
            sources.setdefault(source, {}).setdefault(one, []).append(str(size))
    if len(sources) < 2:
        return []
    lists = {
        source: "; ".join(f"{one}, {' and '.join(sizes)} per class" for one, sizes in sets.items())
        for source, sets in sources.items()
    }
    return ["", *(f"- Samples of `{source}`: {sets}." for source, sets in lists.items())]


def _refining(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| set | per class | method | start | factor | iterations | seconds | validation |", "|---" * 8 + "|"]
    for row in sorted(rows, key=lambda row: (name(row), row["per_class"])):
        block = config.read(Refine, row["refine"], PATH.name)
        lines.append(
            f"| {name(row)} | {row['per_class']} | {block.method} | {block.start_pick} | {block.factor} "
            f"| {row['iterations']} | {row['seconds']} | {100 * row['validation']:.1f} |"
        )
    return "\n".join(lines)
