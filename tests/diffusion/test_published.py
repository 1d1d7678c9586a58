"""Equal to the published implementations: network, loss and every solver."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, safe_open
from torch import Tensor

from diffdistill.config import Solver
from diffdistill.diffusion import solvers
from diffdistill.diffusion.loss import denoising_loss
from diffdistill.diffusion.networks.uvit import UViT
from diffdistill.diffusion.schedule import VPSchedule

Recorded = tuple[UViT, dict[str, Tensor]]


@pytest.fixture(params=["uvit_cond", "uvit_uncond"])
def recorded(request: pytest.FixtureRequest, oracles: Path) -> Recorded:
    path = oracles / f"{request.param}.safetensors"
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    classes = config["num_classes"] if config["num_classes"] > 0 else None
    network = UViT(8, config["patch_size"], 3, config["embed_dim"], config["depth"], 4, num_classes=classes)
    network.load_state_dict({n.removeprefix("state."): t for n, t in tensors.items() if n.startswith("state.")})
    return network.requires_grad_(False), tensors


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


class Float32Schedule(VPSchedule):
    """The published schedule's arithmetic: 1 - exp(2 log alpha) in float32, which cancels near t = 1e-4."""

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(self.log_alpha(t.float())).double()

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(1 - torch.exp(2 * self.log_alpha(t.float()))).double()

    def half_logsnr(self, t: Tensor) -> Tensor:
        log_alpha = self.log_alpha(t.float())
        return (log_alpha - 0.5 * torch.log(1 - torch.exp(2 * log_alpha))).double()

    def time_of(self, half_logsnr: Tensor) -> Tensor:
        return super().time_of(half_logsnr.float()).double()


def test_the_network(recorded: Recorded) -> None:
    network, given = recorded
    assert relative(network(given["x"], given["t"], given.get("y")), given["eps"]) < 1e-5


def test_noising_and_loss(recorded: Recorded) -> None:
    network, given = recorded
    schedule, t = VPSchedule(), given["t"]
    x_t = schedule.alpha(t)[:, None, None, None] * given["x0"] + schedule.sigma(t)[:, None, None, None] * given["noise"]
    assert relative(x_t, given["x_t"]) < 1e-5
    loss = denoising_loss(network, schedule, given["x0"], t, given["noise"], given.get("y"))
    assert relative(loss, given["loss_per_image"]) < 1e-5


def test_every_recorded_solver(recorded: Recorded) -> None:
    network, given = recorded
    network = network.double()
    y, x_T = given.get("y"), given["x_T"].double()
    checked = 0
    for name, expected in given.items():
        if not name.startswith("dpm_solver"):
            continue
        kind, *rest = name.split(".")
        if kind == "dpm_solver_fast":
            order, skip, steps, method = 3, "logSNR", int(rest[0]), "singlestep"
        else:
            method, order, skip, steps = rest[0], int(rest[1]), rest[2], int(rest[3])
        t_end = 1e-4 if method == "singlestep" else 1e-3
        schedule = Float32Schedule() if t_end == 1e-4 else VPSchedule()
        found, exact = (
            solvers.solve(
                lambda x, t: network(x, t, y), x_T, given_schedule,
                Solver.model_validate({
                    "algorithm": "dpmsolver++" if kind == "dpm_solver_pp" else "dpmsolver", "method": method,
                    "order": order, "nfe": steps, "spacing": "logsnr" if skip == "logSNR" else "time", "t_end": t_end,
                }),
            )
            for given_schedule in (schedule, VPSchedule())
        )  # fmt: skip
        assert relative(found, expected) < 1e-6, name
        assert relative(exact, expected) < 2e-6, name
        checked += 1
    assert checked == 29


def test_the_papers_networks_have_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        small = UViT(32, 2, 3, 512, 12, 8, num_classes=100)
        middle = UViT(64, 4, 3, 768, 16, 12, num_classes=200)
    assert [round(sum(p.numel() for p in net.parameters()) / 1e6, 1) for net in (small, middle)] == [44.3, 130.3]
