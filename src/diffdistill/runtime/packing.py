"""Many paths in one word of a command line, which holds 128 KiB: a shell script is one of its arguments."""

from collections.abc import Sequence

MANY = 20
"""More paths than this are packed; fewer stay readable."""


def pack(paths: Sequence[str]) -> list[str]:
    """The words that stand for paths: `a/{1,2}.json` for many that begin and end alike, else the paths themselves."""
    before = _start(paths)
    rest = [path[len(before) :] for path in paths]
    after = _start([path[::-1] for path in rest])[::-1]
    middles = [path[: len(path) - len(after)] for path in rest]
    if len(paths) <= MANY or any(set(path) & set("{},") for path in paths):
        return list(paths)
    return [f"{before}{{{','.join(middles)}}}{after}"]


def unpack(word: str) -> list[str]:
    """The paths that a word of `pack` stands for."""
    before, opened, rest = word.partition("{")
    middles, closed, after = rest.partition("}")
    if not opened or not closed or "," not in middles:
        return [word]
    return [f"{before}{middle}{after}" for middle in middles.split(",")]


def _start(texts: Sequence[str]) -> str:
    """The longest text that all begin with."""
    first, last = (min(texts), max(texts)) if texts else ("", "")  # what these share, those between them share too
    same = next((index for index, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:same]
