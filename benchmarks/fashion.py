"""What the experiments of fashion.yaml came to, as the tables of FASHION.md.

python -m benchmarks.fashion [EXPERIMENT ...]    in the folder of the results: appends a row for each to fashion.jsonl,
                                                 and writes the table anew

A row is read from the files that the run wrote: accuracy.csv, fid.csv, samples.json and, where there is one,
audit.json; the seconds of training from the benchmark file beside the log. Accuracies of a ResNet-18, and those of
real images, are what benchmarks.small recorded.
"""

import itertools
import json
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import measuring, small_page
from benchmarks.small import ROWS as SMALL

FOLDER = Path(__file__).parent
PAGE, ROWS = FOLDER / "FASHION.md", FOLDER / "fashion.jsonl"
NETWORKS = {
    "paper": "the paper's recipe", "ours": "U-ViT, min-SNR, 8 evaluations", "uvit": "U-ViT as init proposes it",
    "unet": "U-Net, patches of 2x2", "unet4": "U-Net, patches of 4x4",
}  # fmt: skip
LENGTHS = {"minute": "a minute", "": "ten minutes", "hour": "an hour"}
NAME = re.compile(r"fashion_(?P<network>paper|ours|uvit|unet4?)(?:_(?P<length>minute|hour))?(?:_\d+)?")
HEAD = (
    "| network | training | bfloat16 | iterations | processor seconds | images | FID | label agreement | accuracy "
    "| of real | ConvNets | ResNet-18 | audit |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)
BEGIN, END = "<!-- rows of fashion.jsonl -->", "<!-- end of rows -->"


def row(name: str, folder: Path) -> dict[str, Any]:
    """What an experiment came to; folder: with results/ and logs/. Raises FileNotFoundError if it is not finished."""
    results = folder / "results" / name
    accuracies = pd.read_csv(results / "accuracy.csv")["accuracy"]
    measured = pd.read_csv(results / "fid.csv")
    (chosen,) = measured[measured["chosen_by"].notna()].to_dict("records")
    account = json.loads((results / "samples.json").read_text(encoding="utf-8"))
    slices = [pd.read_csv(path, sep="\t") for path in (folder / "logs" / name / "train").glob("*.tsv")]
    audit = results / "audit.json"
    return {
        "experiment": name,
        "iterations": int(chosen["step"]),
        "seconds": round(sum(float(one["cpu_time"].iloc[0]) for one in slices)),
        "images": account["images"],
        "sampling_seconds": round(account["used_seconds"]),
        "fid": round(float(chosen["fid"]), 2),
        "agreement": round(float(chosen["label_agreement"]), 4),
        "accuracy": round(float(accuracies.mean()), 4),
        "deviation": round(float(accuracies.std()), 4) if len(accuracies) > 2 else None,
        "convnets": len(accuracies),
        "audit": json.loads(audit.read_text(encoding="utf-8"))["verdict"] if audit.exists() else None,
        "machine": measuring.as_text(account["machine"]),
    }


def tables(rows: Iterable[Mapping[str, Any]], small: Iterable[Mapping[str, Any]]) -> str:
    """A line per network, length of training and kind of processor, and what real images teach.

    small: rows of benchmarks.small.
    """
    last = {small_page.identity(one): one for one in small if one["data"] == "fashion"}
    residual = {
        one["generator"]: one["accuracies"]
        for one in last.values()
        if one["architecture"] == "resnet18" and "generator" in one
    }
    sizes: dict[int, Mapping[str, Any]] = {
        one["images"] // 10: one
        for one in last.values()
        if one["set"] in ("real", "real-random")
        and (one["architecture"], one.get("way", "hard")) == ("convnet", "hard")
    }
    real = statistics.mean(sizes[max(sizes)]["accuracies"])
    groups: dict[tuple[str, str, bool], list[Mapping[str, Any]]] = {
        (network, length, bfloat16): []
        for network, length, bfloat16 in itertools.product(NETWORKS, LENGTHS, (True, False))
    }
    for one in rows:
        named = NAME.fullmatch(one["experiment"])
        assert named is not None, one["experiment"]
        # rows without a machine come from a processor with bfloat16
        bfloat16 = "auto precision float32" not in one.get("machine", "")
        groups[named["network"], named["length"] or "", bfloat16].append(one)
    curve = [
        f"| real images per class | {' | '.join(f'{size:,}' for size in sorted(sizes))} |",
        "|---" * (1 + len(sizes)) + "|",
        f"| accuracy, % | {' | '.join(small_page.cell(sizes[size]) for size in sorted(sizes))} |",
    ]
    lines = [_line(*key, same, residual, real) for key, same in groups.items() if same]
    return "\n".join([HEAD, *lines, "", *curve])


def _line(
    network: str, length: str, bfloat16: bool, rows: Sequence[Mapping[str, Any]],
    residual: Mapping[str, Sequence[float]], real: float,
) -> str:  # fmt: skip
    def listed(texts: Iterable[str]) -> str:
        return ", ".join(dict.fromkeys(texts))

    further = [f"{100 * value:.1f} %" for one in rows for value in residual.get(one["experiment"], ())]
    cells = [
        NETWORKS[network],
        LENGTHS[length],
        "yes" if bfloat16 else "no",
        listed(f"{one['iterations']:,}" for one in rows),
        listed(f"{one['seconds']:,}" for one in rows),
        listed(f"{one['images']:,}" for one in rows),
        ", ".join(f"{one['fid']:.1f}" for one in rows),
        ", ".join(f"{100 * one['agreement']:.1f}" for one in rows) + " %",
        ", ".join(_accuracy(one["accuracy"], one["deviation"]) for one in rows) + " %",
        ", ".join(f"{one['accuracy'] / real:.3f}" for one in rows),
        ", ".join(str(one["convnets"]) for one in rows),
        ", ".join(further) or "-",
        ", ".join(one["audit"] or "-" for one in rows),
    ]
    return f"| {' | '.join(cells)} |"


def _accuracy(mean: float, deviation: float | None) -> str:
    """In per cent, with the standard deviation of three ConvNets or more."""
    return f"{100 * mean:.1f}" + (f" ± {100 * deviation:.1f}" if deviation is not None else "")


def renewed(page: str, lines: str) -> str:
    """The page with these lines between its two marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{lines}\n\n{END}{rest.split(END)[1]}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT")
    given = parser.parse_args(argv)
    for name in given.experiments:
        measuring.record(ROWS, row(name, Path()))
    lines = tables(measuring.recorded(ROWS), measuring.recorded(SMALL))
    if given.toy:
        print(lines)
    else:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
