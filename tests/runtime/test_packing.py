"""Many paths in one word."""

import pytest

from diffdistill.runtime.packing import MANY, pack, unpack

STEPS = [f"results/a/fid/{step}.json" for step in range(100, 0, -1)]


@pytest.mark.parametrize(
    "paths",
    [
        [], ["a"], STEPS[:MANY], STEPS, [f"study/{run}-real/{seed}.json" for run in "abcdef" for seed in range(9)],
        [f"{number}" for number in range(50)], [f"a,{number}" for number in range(50)],
        [f"{{{number},1}}" for number in range(50)], ["same"] * 50, ["aa", "a", "aaa"] * 20,
    ],
)  # fmt: skip
def test_they_come_back_in_their_order(paths: list[str]) -> None:
    words = pack(paths)
    unpacked = [path for word in words for path in (unpack(word) if words != paths else [word])]
    assert unpacked == paths


def test_thousands_fit_into_a_command() -> None:
    paths = [f"results/an-experiment-with-quite-a-long-name/weights/{step}.safetensors" for step in range(1, 20_001)]
    assert len(pack(paths)) == 1 and len(pack(paths)[0].encode()) < 131_072


@pytest.mark.parametrize("word", ["a/b.json", "a{b}c", "a{b", "a}b,c{", "{,"])
def test_other_words_stand_for_themselves(word: str) -> None:
    assert unpack(word) == [word]
