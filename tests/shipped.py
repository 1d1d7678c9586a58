"""The config that users get, its digits trained as benchmarks/digits.yaml says: tests need not change with the demo."""

from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
VALUES: dict[str, Any] = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
_DIGITS = yaml.safe_load((REPOSITORY / "benchmarks/digits.yaml").read_text())["experiments"]["digits_uvit"]
VALUES["experiments"]["digits"] = {key: value for key, value in _DIGITS.items() if key != "dataset"}
