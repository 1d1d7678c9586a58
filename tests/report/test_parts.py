from pathlib import Path

import pytest

from diffdistill.report import parts, results
from tests.report.conftest import FINISHED, Make


def names(folder: Path, ending: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{ending}")}


def test_names_of_parts_are_unique_and_their_needs_exist() -> None:
    fields = {*results.Experiment.__dataclass_fields__, "network", "challenge", "audit_pairs"}
    for kind in (parts.TABLES, parts.FIGURES):
        assert len({part.name for part in kind}) == len(kind)
        assert all(set(part.needs) <= fields and bool(part.of_all) != bool(part.of_each) for part in kind)


def test_figures_made_twice_are_the_same_bytes(make: Make) -> None:
    project = make(cifar100={"size": 16, "channels": 3})
    written = []
    for _ in range(2):
        assert project.run("figures") == 0
        written.append({path.name: path.read_bytes() for path in (project.folder / "figures").iterdir()})
    assert len(written[0]) == 12  # four of all experiments and two of this one, as pdf and png
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("kinds", "tables", "figures"),
    [
        (("real",), set(), set()),
        (("real", "samples"), set(), {"samples_x", "classes_x"}),
        (("real", "accuracy"), {"accuracy"}, {"accuracy"}),
        (("real", "fid"), {"generators", "models"}, {"fid_curve"}),
        (("real", "loss"), set(), {"loss_curve"}),
        (FINISHED, {"accuracy", "sampling"}, {"accuracy", "samples_x", "classes_x"}),
    ],
)
def test_a_part_is_made_if_what_it_needs_exists(
    make: Make, kinds: tuple[str, ...], tables: set[str], figures: set[str]
) -> None:
    project = make(x={"kinds": kinds})
    assert project.run("tables", "figures", "report") == 0
    found = names(project.folder / "tables", "csv"), names(project.folder / "figures", "png")
    assert found == (tables, figures)
    assert "<h2>x</h2>" in project.page.read_text()
