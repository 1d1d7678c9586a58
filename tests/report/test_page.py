import re
from html.parser import HTMLParser

import pytest

from diffdistill.data import image_files
from tests.report.conftest import FILES, FINISHED, FROM_REAL, Make


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
    project = make(small={}, other={})
    assert project.run("tables", "figures", "report") == 0
    page = project.page.read_text()
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    images = [attributes for tag, attributes in tags.found if tag == "img"]
    assert len(images) == 9  # three figures; two of images and one of pairs per experiment; no leaderboard
    assert all((image["src"] or "").startswith("data:image/png;base64,") and image["alt"] for image in images)
    ids = {attributes["id"] for _, attributes in tags.found if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in tags.found if tag == "a"]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    for part in (
        "0.4500 ± 0.0100", "50.0%", "9 images", "1.50 times as many as the 6 real train images", "177.0 MB",
        "made in 10.0 s", "95.2%", "torch", "9.9.9", "sample.seed", "none were copied", "not the number of images",
    ):  # fmt: skip
        assert part in page, part
    assert 'name="viewport"' in page and "@media print" in page
    assert "<h3>Study</h3>" not in page  # neither has one
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page  # the settings' note


def test_a_finished_set_has_only_the_sections_of_its_files(make: Make) -> None:
    project = make(theirs={"kinds": FINISHED})
    page = project.show()
    for part in ("Samples", "Audit", "In short"):
        assert f"<h3>{part}</h3>" in page
    assert "9 images of 3 classes in a folder per class." in page and "made in" not in page  # 1.5 s: reading
    for part in ("FID", "iteration", "Measurements", 'id="training"', "#training", "generator takes", "None"):
        assert part not in re.sub(r'src="data:[^"]*"', "", page), part


def test_the_page_shows_the_settings_of_the_files_and_where_the_config_differs(make: Make) -> None:
    """G5"""
    project = make(small={})
    assert "The config has changed" not in project.show()
    project.report.experiments["small"].settings["select"]["seed"] = 12345
    assert project.run("report") == 0
    page = project.page.read_text()
    assert "The config has changed since these files were made" in page
    assert '<td class="text">select.seed</td><td class="text">2</td><td class="text">12345</td>' in page
    recorded = page.split("Settings recorded in the files")[1].split("</details>")[0]
    assert "12345" not in recorded and "dpmsolver++" in recorded


def test_classes_without_images_and_without_letters_are_noted(make: Make) -> None:
    """G17, and class names that the font lacks."""
    project = make(small={"classes": ["cat", "犬", "dog"]})
    for kind in ("samples", "distilled"):
        path = project.file("small", kind)
        data = image_files.load(path)
        image_files.save(path, data.images[:2], data.labels[:2], data.metadata)
    assert project.run("tables", "figures", "report") == 0
    page = project.page.read_text()
    assert "1 of 3 classes have no sample; their places are white: dog." in page
    assert "1 of its 3 classes have no image." in page
    assert "replaced by the number of the class" in page and "<li>犬</li>" in page


def test_a_missing_figure_is_named(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    project = make(small={})
    project.show()
    project.page.unlink()
    (project.folder / "figures/fid_curve.png").unlink()
    assert project.run("report") == 2
    assert "fid_curve" in capsys.readouterr().err and not project.page.exists()


def test_the_leaderboard_stands_only_beside_a_data_set_of_the_challenge(make: Make) -> None:
    for name, dataset, stands in (("flowers", "flowers", False), ("mine", "tinyimagenet", True)):
        project = make(**{name: {"dataset": dataset}})
        page = project.show()
        assert ('id="leaderboard"' in page, "zheli" in page, "#leaderboard" in page) == (stands,) * 3
        assert (project.folder / "tables/leaderboard.csv").exists() == stands


def test_many_classes_are_named_in_a_closed_list_and_not_in_the_description(make: Make) -> None:
    codes, titles = [f"n{k:03}" for k in range(21)], [f"title {k}, other" for k in range(21)]
    project = make(few={}, many={"classes": codes, "titles": titles})
    page = project.show()
    tags = Tags()
    tags.feed(page)
    described = [attributes["alt"] or "" for tag, attributes in tags.found if tag == "img"]
    assert sum("zero, one, a <class> & $more" in alt for alt in described) == 2
    assert not any("title 1" in alt for alt in described) and "<li>title 20, other</li>" in page
    assert not any("open" in attributes for tag, attributes in tags.found if tag == "details")


def test_a_set_refined_from_real_images_says_so_and_shows_its_start(make: Make) -> None:
    page = make(small={"kinds": FROM_REAL}).show()
    text = re.sub(r'src="data:[^"]*"', "", page)
    assert "Refining began with real images of the train split and changed them by distribution matching." in text
    assert "derived from real images" in text and "300 iterations took 90.0 s" in text
    assert "after iteration 200, the best on validation: 0.7500, where the start had 0.5000" in text
    assert 'alt="The start and the refined set of small"' in text and "<h3>Samples</h3>" not in text
    assert "made in" not in text and "How the samples were made" not in text
    assert "<h3>How the set was refined</h3>" not in make(other={}).show()


def test_samples_that_were_refined_are_made_in_the_seconds_of_both(make: Make) -> None:
    kinds = tuple(kind for kind in FILES if kind != "study")
    text = re.sub(r'src="data:[^"]*"', "", make(small={"kinds": kinds}, other={}).show())
    assert "made in 100.0 s" in text and "made in 10.0 s" in text  # 10 s of sampling, 90 s of refining
    overview = text.split("Key numbers")[1]
    assert "100.0 s" in overview.split("</table>")[0]
