"""Measurements that `init` takes: they are short, and their numbers are plausible."""

import shutil

import pytest
import torch

from diffdistill.commands import timing
from diffdistill.config import Protocol, Recipe, UNetModel, parse_model
from diffdistill.runtime import devices

SMALL = UNetModel(kind="unet", channels=8, multipliers=(1, 2), blocks=1, num_heads=2)
CPU = torch.device("cpu")


def test_steps_are_timed() -> None:
    denoiser = timing.build(SMALL, (1, 8, 8), 3)
    recipe = Recipe(iterations=1000, batch_size=4)
    assert 0 < timing.denoiser_step(denoiser, recipe, CPU, seconds=0.05) < 5
    protocol = Protocol(steps=100, batch_size=8, width=8, augment="flip")
    assert 0 < timing.convnet_step(protocol, (1, 8, 8), 3, CPU, seconds=0.05) < 5


def test_training_is_compiled_where_it_was_measured_and_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "processor_instructions", lambda: {"avx2"})
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++" if name == "g++" else None)
    assert timing.compiles(CPU) and not timing.compiles(torch.device("cuda"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not timing.compiles(CPU)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(devices, "processor_instructions", lambda: set())
    assert not timing.compiles(CPU)


def test_operations_grow_with_the_network_and_the_images() -> None:
    larger = SMALL.changed(channels=16)
    assert timing.operations(SMALL, (1, 8, 8), 3) < timing.operations(larger, (1, 8, 8), 3)
    uvit = parse_model({"patch_size": 2, "embed_dim": 32, "depth": 2, "num_heads": 2})
    assert timing.operations(uvit, (1, 8, 8), 3) < timing.operations(uvit, (3, 16, 16), 3) / 3


def test_a_batch_is_halved_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = timing.build(SMALL, (1, 8, 8), 3)
    weights = timing.BYTES_PER_PARAMETER * denoiser.parameter_count
    monkeypatch.setattr(timing, "free_memory", lambda device: 1 << 40)
    assert timing.largest_batch(denoiser, 64, CPU) == 64
    monkeypatch.setattr(timing, "free_memory", lambda device: 2 * (weights + (1 << 20)))
    some = timing.largest_batch(denoiser, 64, CPU)
    monkeypatch.setattr(timing, "free_memory", lambda device: 2 * (weights + (1 << 19)))
    assert 1 < timing.largest_batch(denoiser, 64, CPU) == some // 2 < 64
    monkeypatch.setattr(timing, "free_memory", lambda device: 0)
    assert timing.largest_batch(denoiser, 64, CPU) == 1
