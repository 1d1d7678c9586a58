"""Every stage has a module, settings that say what it does, and a rule."""

import importlib.util

import pytest

from diffdistill.config.stages import STAGES, Settings


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_complete(name: str) -> None:
    settings = STAGES[name]
    assert issubclass(settings, Settings) and settings.__doc__ and settings.__doc__.endswith(".")
    assert importlib.util.find_spec(f"diffdistill.stages.{name}") is not None
    assert settings.lower_for_memory
