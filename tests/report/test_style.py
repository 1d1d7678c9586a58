import os
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from diffdistill.report import figures, style
from tests.report.conftest import Make

DRAW = """
import sys
from pathlib import Path
from diffdistill.report import style
from matplotlib.figure import Figure

with style.own_style():
    figure = Figure()
    figure.subplots().plot([1, 2])
style.save(figure, Path(sys.argv[1]))
"""


def test_a_users_settings_change_no_byte(tmp_path: Path) -> None:
    """G22: a notebook's backend that does not exist here, and a matplotlibrc with other fonts and colours."""
    (tmp_path / "matplotlibrc").write_text(
        "lines.linewidth: 9\nfont.size: 30\naxes.facecolor: red\nsavefig.bbox: tight\n"
    )
    written = []
    for number, changes in enumerate(({}, {"MPLBACKEND": "module://gone.backend", "MATPLOTLIBRC": str(tmp_path)})):
        path = tmp_path / f"{number}.png"
        run = subprocess.run(
            [sys.executable, "-c", DRAW, str(path)], env={**os.environ, **changes}, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_settings_made_in_the_same_process_change_no_byte(make: Make) -> None:
    project = make(small={})
    (one,) = project.experiments.values()
    files = [project.folder / name for name in ("accuracy.png", "samples.png")]
    written = []
    for size in (10, 30):
        with mpl.rc_context({"font.size": size, "axes.facecolor": "red", "image.origin": "lower"}):
            style.save(figures.accuracy([one]), files[0])
            style.save(figures.samples(one), files[1])
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1]


def test_letters_that_the_font_lacks_are_known() -> None:
    assert style.can_show("café, größer") and not style.can_show("犬") and not style.can_show("a 猫")


@pytest.mark.parametrize("ending", ["pdf", "png"])
def test_saved_twice_the_bytes_are_the_same(tmp_path: Path, ending: str) -> None:
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        with style.own_style():
            figure = Figure()
            figure.subplots().plot([1, 2])
        style.save(figure, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
