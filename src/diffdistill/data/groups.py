"""Which images belong together, such as those of one person: read from a table or from the names of the files."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffdistill.data.raw import Array, RawData
from diffdistill.data.tree import nfc
from diffdistill.errors import UserError

EXAMPLES = 3


@dataclass(frozen=True)
class Groups:
    """The group of every image of a source, by split."""

    names: list[str]
    """Sorted; the number of a group is its place here."""
    of_split: Mapping[str, Array]
    """int64 (N,) by split."""

    def require_apart(self) -> None:
        """Raises UserError naming groups that have images in two splits."""
        seen: dict[int, str] = {}
        for split, numbers in self.of_split.items():
            present = np.unique(numbers).tolist()
            shared = [group for group in present if group in seen]
            if shared:
                listed = ", ".join(f"'{self.names[group]}'" for group in shared[:EXAMPLES])
                more = f" and {len(shared) - EXAMPLES} more" if len(shared) > EXAMPLES else ""
                raise UserError(
                    f"group {listed}{more} has images in {seen[shared[0]]} and in {split}; move them to one split"
                )
            seen |= dict.fromkeys(present, split)


def read(raw: RawData, *, table: Path | str | None = None, pattern: str | None = None) -> Groups:
    """The groups of the images of a source: from a csv of image path and group, or from a pattern.

    The table's paths are relative to the source; leading folders can be left out of a name that no other file has.
    pattern: a regular expression with one capture group, searched in the path. Raises UserError for images without a
    group.
    """
    if (table is None) == (pattern is None):
        raise ValueError("give either a table or a pattern")
    names = {split: part.names for split, part in raw.splits.items() if part.names is not None}
    if len(names) < len(raw.splits):
        raise UserError("the images of this source have no file names, so they cannot be grouped")
    everything = [name for some in names.values() for name in some]
    found = _by_pattern(pattern, everything) if table is None else _by_table(Path(table), everything)
    lacking = [name for name in everything if name not in found]
    if lacking:
        raise UserError(
            f"{table if table is not None else f'the pattern {pattern!r}'} gives no group for {len(lacking)} of "
            f"{len(everything)} images, such as {', '.join(lacking[:EXAMPLES])}; give one to every image"
        )
    ordered = sorted({*found.values()})
    number = {group: place for place, group in enumerate(ordered)}
    of_split = {split: np.array([number[found[name]] for name in some], np.int64) for split, some in names.items()}
    return Groups(ordered, of_split)


def _by_pattern(pattern: str | None, names: Iterable[str]) -> dict[str, str]:
    expression = re.compile(pattern or "")
    if expression.groups != 1:
        raise UserError(f"the pattern {pattern!r} has {expression.groups} capture groups; exactly one is needed")
    matches = {name: expression.search(name) for name in names}
    return {name: nfc(match[1]) for name, match in matches.items() if match is not None and match[1]}


def _by_table(path: Path, names: Sequence[str]) -> dict[str, str]:
    given = _table(path)
    times = Counter(name.rpartition("/")[2] for name in names)
    found: dict[str, str] = {}
    for name in names:
        tails = ["/".join(name.split("/")[start:]) for start in range(name.count("/") + 1)]
        if "/" in name and times[tails[-1]] > 1:
            tails.pop()  # the last part alone would mean another file too
        match = next((tail for tail in tails if tail in given), None)
        if match is not None:
            found[name] = given[match]
    return found


def _table(path: Path) -> dict[str, str]:
    """Group by image path, both composed (NFC). A head line does no harm: it names no image."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give a csv of image path and group") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a csv in UTF-8 ({error}); save it as one") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not any(line):
            continue
        if len(line) != 2 or not all(line):
            raise UserError(f"{path}, line {number}: expected image path and group, found {','.join(line)[:80]!r}")
        name, group = nfc(line[0].replace("\\", "/").removeprefix("./")), nfc(line[1])
        if found.setdefault(name, group) != group:
            raise UserError(f"{path}, line {number}: {name} has two groups, '{found[name]}' and '{group}'; keep one")
    return found
