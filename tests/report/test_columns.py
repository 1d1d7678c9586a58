import pandas as pd

from diffdistill.report import columns
from tests.report.conftest import Make


def test_texts_are_aligned_escaped_and_rounded_alike(make: Make) -> None:
    project = make(my_set={"dataset": "cifar100"})
    assert project.run("tables") == 0
    folder = project.folder / "tables"
    lines = (folder / "accuracy.md").read_text().splitlines()
    assert (
        len(set(map(len, lines))) == 1
        and "| my_set       | distilled   |        9 |                  1.50x |" in lines[2]
    )
    tex = (folder / "models.tex").read_text()
    assert r"my\_set & uvit & 13 & 512 & 2,048 & 8 & 2 & 44.3M \\" in tex and r"\toprule" in tex
    assert "0.0100 & 0.0460 & 0.0280" in (folder / "leaderboard.tex").read_text()


def test_numbers_have_the_digits_that_matter() -> None:
    assert [columns.duration(seconds) for seconds in (41.25, 750, 97_200)] == ["41.2 s", "12.5 min", "27.0 h"]
    assert [columns.distance(value) for value in (3.456, 0.005922)] == ["3.46", "0.0059"]
    assert [columns.times(value) for value in (12.34, 1.5, 0.25, 0.0021)] == ["12.3x", "1.50x", "0.25x", "0.0021x"]
    assert [columns.size(value) for value in (64, 3_072, 153_600_000, 2.5e9)] == [
        "64 B",
        "3.1 kB",
        "153.6 MB",
        "2.5 GB",
    ]
    assert columns.parameters(44_257_536) == "44.3M" and columns.parameters(57_400) == "57K"
    assert columns.mean_std(0.9675, 0.0025) == "0.9675 ± 0.0025" and columns.mean_std(0.5, float("nan")) == "0.5000"


def test_missing_values_are_empty_and_names_are_never_numbers() -> None:
    table = pd.DataFrame({"experiment": ["1e5", "NA"], "fid": [3.456, None]})
    assert columns.shown(table).to_dict("list") == {"experiment": ["1e5", "NA"], "FID": ["3.46", ""]}
    assert columns.numeric(table) == [False, True]
