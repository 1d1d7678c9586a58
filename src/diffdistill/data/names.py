"""Names that mean one thing and are spelt in two ways, or mean two things and print alike."""

import unicodedata
from collections.abc import Iterable, Iterator

from diffdistill.data.tree import nfc
from diffdistill.errors import UserError

_LATIN = dict(
    zip(
        # Cyrillic, then Greek
        "АВЕЅІЈКМНОРСТХУаеѕіјорсухһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲν\u2010\u2212",  # noqa: RUF001
        "ABESIJKMHOPCTXYaesijopcyxhdqwABEZHIKMNOPTYXocv--",
        strict=True,
    )
)
"""Letters of other alphabets, and dashes, that print like Latin ones."""


def look(name: str) -> str:
    """The same text for names that print alike: composed, without invisible characters, in Latin letters."""
    if name.isascii():
        return " ".join(name.split())
    plain = unicodedata.normalize("NFC", "".join(map(_plain, name)))
    return " ".join("".join(_LATIN.get(letter, letter) for letter in plain).split())


def _plain(letter: str) -> str:
    """A ligature, wide letter or special blank as its usual letters; nothing for what is invisible."""
    if unicodedata.category(letter) == "Cf":
        return ""
    if unicodedata.decomposition(letter).startswith(("<compat>", "<wide>", "<narrow>", "<noBreak>")):
        return unicodedata.normalize("NFKC", letter)
    return letter


def code_points(name: str, other: str) -> str:
    """The characters from the first one in which a name differs from another, as U+0065 U+0301."""
    first = next((place for place, pair in enumerate(zip(name, other, strict=False)) if pair[0] != pair[1]), None)
    first = min(len(name), len(other)) if first is None else first
    shown = [f"U+{ord(letter):04X}" for letter in name[first : first + 3]]
    return " ".join(shown) or "nothing more"


def alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of different names that print alike."""
    seen: dict[str, str] = {}
    for name in sorted({*names}):
        if (first := seen.setdefault(look(name), name)) != name:
            yield first, name


def apart(one: str, other: str) -> str:
    """Two names that print alike, and what tells them apart."""
    return f"'{one}' ({code_points(one, other)}) and '{other}' ({code_points(other, one)})"


def composed(names: Iterable[str], where: str) -> dict[str, str]:
    """The composed form (NFC) of each name. Raises UserError with code points for two names that print alike."""
    found = {*names}
    for one, other in alike(found):
        raise UserError(f"{where}: the names {apart(one, other)} print alike; rename one, or merge the two classes")
    return {name: nfc(name) for name in found}
