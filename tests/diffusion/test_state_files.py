"""What is read of a training's state without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diffdistill.diffusion import state_files
from diffdistill.errors import UserError
from diffdistill.runtime import tensor_files
from tests.diffusion.models import fresh, train


def test_weights_and_history_are_read_from_the_file(tmp_path: Path) -> None:
    path, target = str(tmp_path / "10.safetensors"), str(tmp_path / "weights.safetensors")
    state = fresh()
    train(state, until=10)
    state.save(path, {"classes": "[]"})
    state_files.write_weights(target, path, "10", {"step": "10"})
    weights, metadata = tensor_files.load(target)
    assert weights.keys() == state.snapshots["10"].keys()
    assert all(torch.equal(value, state.snapshots["10"][name]) for name, value in weights.items())
    assert metadata["classes"] == "[]" and metadata["step"] == "10" and "denoiser" in metadata
    assert state_files.read_history(path)[:, 0].tolist() == [5, 10]
    with pytest.raises(UserError, match="no EMA weights 7 in it"):
        state_files.write_weights(target, path, "7", {})
    with pytest.raises(UserError, match=r"weights.safetensors: not a training state"):
        state_files.read_history(target)


@pytest.mark.parametrize("stage", ["accuracy", "checkpoint", "history", "weights"])
def test_stages_that_compute_nothing_import_no_torch(stage: str) -> None:
    """Of a start of two seconds, that import takes more than one."""
    found = f"import sys, diffdistill.stages.{stage}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", found], check=False).returncode == 0
