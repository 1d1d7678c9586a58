"""The notebook of docs/library.md runs, here with less work."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/library.md"
LESS = {"iterations=4000": "iterations=3", "steps=600": "steps=3", "arange(1000)": "arange(40)", "width=64": "width=8"}


def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    statements = [line for line in code.splitlines() if line and not line.startswith(("import ", "from "))]
    assert len(statements) <= 20
    for much, little in LESS.items():
        assert much in code
        code = code.replace(much, little)
    exec(compile(code, str(PAGE), "exec"), {})
    assert re.fullmatch(r"accuracy 0\.\d{3}\n", capsys.readouterr().out)
