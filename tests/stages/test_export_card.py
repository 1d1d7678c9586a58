import json
from pathlib import Path

import pytest

from tests import command
from tests.report.conftest import build
from tests.report.test_card import exported


@pytest.mark.parametrize("whole", [True, False])
def test_the_stage_writes_what_exists(tmp_path: Path, whole: bool) -> None:
    project = build(tmp_path, {"small": {}})
    inputs = [(kind, project.file("small", kind)) for kind in ("distilled", "real")]
    if whole:
        inputs += [(kind, project.file("small", kind)) for kind in ("accuracy", "baselines", "account", "audit")]
    inputs += [("files", path) for path in exported(project.folder)]
    settings = {"experiment": "small", "source": "digits", "licence": None}
    outputs = {"card": project.folder / "README.md", "croissant": project.folder / "croissant.json"}
    assert command.run("export_card", settings, inputs, outputs) == 0
    assert json.loads((project.folder / "croissant.json").read_text())["name"] == "small, distilled"
    text = (project.folder / "README.md").read_text()
    assert "E. Alpaydin" in text and ("## Accuracy" in text) == whole
