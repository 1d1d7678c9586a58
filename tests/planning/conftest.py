"""A plan of the shipped config, changed as a test needs it."""

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from diffdistill import config
from diffdistill.planning.plan import Plan
from tests.shipped import VALUES

Planner = Callable[..., Plan]


def wildcards(**values: str) -> SimpleNamespace:
    """As Snakemake gives them."""
    return SimpleNamespace(**values)


@pytest.fixture
def plan_of() -> Planner:
    """A plan of further experiments, each made of the digits' block with other values."""

    def planned(**changes: dict[str, Any]) -> Plan:
        values = copy.deepcopy(VALUES)
        for name, change in changes.items():
            block = copy.deepcopy(VALUES["experiments"]["digits"])
            for key, value in change.items():
                merge = value and isinstance(value, dict) and isinstance(block.get(key), dict)
                block[key] = {**block[key], **value} if merge else value
            values["experiments"][name] = block
        return Plan(config.parse(values))

    return planned
