"""The page in a real browser: nothing is requested, nothing is wrong on the console, nothing overflows."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import build

pytestmark = pytest.mark.slow

MEASURE = """
<script>
addEventListener("load", () => {
  const inBox = element => (element.parentElement ?? element).closest(".wide, .tall, pre, nav, .names");
  const outside = [...document.querySelectorAll("body *")].filter(
    element => !inBox(element) && element.getBoundingClientRect().right > innerWidth + 0.5
  );
  const found = {
    images: [...document.images].map(image => image.naturalWidth),
    widths: [innerWidth, document.documentElement.scrollWidth],
    outside: outside.map(element => element.outerHTML.slice(0, 80)),
    requests: performance.getEntriesByType("resource").map(entry => entry.name),
  };
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""
FRAME = """<!doctype html>
<script>addEventListener("message", event => document.body.append(`<found>${event.data}</found>`))</script>
<body><iframe src="measured.html" style="width:WIDTHpx;height:800px;border:0"></iframe>
"""
"""A window is never narrower than some 500 pixels; a frame can be."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; the tests that need it skip where it is absent."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the PATH")
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of one experiment, and that of three: of 10, 100 and 200 classes, grey and coloured."""
    codes, titles = [f"n{k:08}" for k in range(200)], [f"title {k}, {'very ' * 9}long" for k in range(200)]
    sets: dict[str, dict[str, dict[str, Any]]] = {
        "one": {"small": {}},
        "three": {
            "digits": {"classes": [str(k) for k in range(10)], "features": "classifier"},
            "cifar100": {"classes": [f"class_{k}" for k in range(100)], "size": 32, "channels": 3},
            "tinyimagenet": {"classes": codes, "titles": titles, "size": 64, "channels": 3},
        },
    }
    made = {}
    for name, experiments in sets.items():
        project = build(tmp_path_factory.mktemp(name), experiments)
        assert project.run("tables", "figures", "report") == 0
        made[name] = project.page
    return made


def browse(chromium: str, page: str, width: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What the page measures of itself in a frame of this width, and the lines on the console.

    The page's own policy allows nothing to be loaded: whatever tried to would stand on the console.
    """
    allowed = page.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    assert allowed != page
    (folder / "measured.html").write_text(allowed.replace("</body>", f"{MEASURE}</body>"))
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr", "--virtual-time-budget=5000", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width + 100},900",
        "--dump-dom", (folder / "frame.html").as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    found = re.search(r"&lt;found&gt;(.*?)&lt;/found&gt;", run.stdout, flags=re.DOTALL)
    assert run.returncode == 0 and found, run.stderr
    return json.loads(unescape(found[1])), [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("name", "images"), [("one", 6), ("three", 13)])
def test_the_page_loads_whole_and_fits(
    chromium: str, pages: dict[str, Path], name: str, images: int, width: int, tmp_path: Path
) -> None:
    found, console = browse(chromium, pages[name].read_text(), width, tmp_path)
    assert console == [] and found["requests"] == []
    assert len(found["images"]) == images and min(found["images"]) > 100
    assert found["widths"] == [width, width] and found["outside"] == []


def test_what_the_tests_look_for_is_found(chromium: str, pages: dict[str, Path], tmp_path: Path) -> None:
    page = pages["one"].read_text()
    wrong = '<img src="https://example.org/a.png" alt="x"><p style="width:500px">wide</p><script>nothing()</script>'
    found, console = browse(chromium, page.replace("<main>", f"<main>{wrong}"), 390, tmp_path)
    assert any("example.org" in line for line in console) and any("nothing is not defined" in line for line in console)
    assert found["images"][0] == 0 and found["widths"][1] > 390 and "500px" in found["outside"][0]
