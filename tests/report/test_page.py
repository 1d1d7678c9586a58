import re
from html.parser import HTMLParser

import pytest

from diffdistill.stages import figures, report, tables
from tests.report.conftest import Make, Project


def made(project: Project) -> Project:
    assert tables.main(project.arguments("tables")) == figures.main(project.arguments("figures")) == 0
    return project


class Tags(HTMLParser):
    """Collects tags with their attributes, and whether every one is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_says_what_happened(make: Make) -> None:
    project = made(make(small={}, other={}))
    assert report.main(project.arguments("report")) == 0
    page = (project.folder / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    images = [attributes for tag, attributes in tags.found if tag == "img"]
    assert len(images) == 9  # three figures, two of images and one of pairs per experiment; no leaderboard
    assert all((image["src"] or "").startswith("data:image/png;base64,") and image["alt"] for image in images)
    ids = {attributes["id"] for _, attributes in tags.found if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in tags.found if tag == "a"]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    for part in (
        "0.4500 ± 0.0100",
        "50.0%",
        "4,000 images",
        "made in 10.0 s",
        "95.2%",
        "torch",
        "9.9.9",
        "train.seed",
        "52% (49%",
    ):
        assert part in page
    assert 'name="viewport"' in page and "@media print" in page
    assert "<h3>Study</h3>" not in page  # neither has one
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page  # the settings' note


def test_the_summary_names_every_seed_both_baselines_and_the_page(make: Make) -> None:
    project = made(make(small={}))
    assert report.main(project.arguments("report")) == 0
    summary = (project.folder / "summary.txt").read_text()
    assert [line.split("  (")[0].split()[-3:] for line in summary.splitlines()[1:4]] == [
        ["0.4500", "±", "0.0100"], ["0.8100", "±", "0.0000"], ["0.9000", "±", "0.0000"],
    ]  # fmt: skip
    assert "by seed: 0: 0.4400, 1: 0.4500, 2: 0.4600" in summary and "accuracy kept: 0.5000" in summary
    assert summary.endswith(f"report: {project.folder / 'report.html'}\n")


def test_a_missing_figure_is_named(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    project = made(make(small={}))
    project.file("fid_curve_png").unlink()
    assert report.main(project.arguments("report")) == 2
    assert "fid_curve" in capsys.readouterr().err
    assert not (project.folder / "report.html").exists()


def test_the_leaderboard_stands_only_beside_a_data_set_of_the_challenge(make: Make) -> None:
    for dataset, stands in (("flowers", False), ("tinyimagenet", True)):
        project = make(**{dataset: {}})
        assert report.main(made(project).arguments("report")) == 0
        page = (project.folder / "report.html").read_text()
        assert ('id="leaderboard"' in page, "zheli" in page, "#leaderboard" in page) == (stands,) * 3
        assert project.file("leaderboard_csv").exists() and project.file("leaderboard_pdf").exists()


def test_many_classes_are_named_in_a_closed_list_and_not_in_the_description(make: Make) -> None:
    codes, titles = [f"n{k:03}" for k in range(21)], [f"title {k}, other" for k in range(21)]
    project = made(make(few={}, many={"classes": codes, "titles": titles}))
    assert report.main(project.arguments("report")) == 0
    page = (project.folder / "report.html").read_text()
    tags = Tags()
    tags.feed(page)
    described = [attributes["alt"] or "" for tag, attributes in tags.found if tag == "img"]
    assert sum("zero, one, a <class> & $more" in alt for alt in described) == 2
    assert not any("title 1" in alt for alt in described) and "<li>title 20, other</li>" in page
    assert not any("open" in attributes for tag, attributes in tags.found if tag == "details")
