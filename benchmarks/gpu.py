"""What one GPU does in its first forty minutes: speed, images in ten minutes, and CIFAR-100 from scratch.

python -m benchmarks.gpu [--minutes 40] [--data FOLDER] [--start WEIGHTS]

1. Peak FLOP/s of a matrix product, and the share of it that training and sampling reach: U-ViT-S and a U-Net at 32x32,
   bfloat16, compiled or not.
2. Images in ten minutes against the published recipe on the same card, by measured rate: singlestep DPM-Solver with 50
   evaluations, float32 and eager.
3. The rest of the time: CIFAR-100 trained from scratch with the U-Net, or with U-ViT-S from the weights in --start;
   sampled, and evaluated by the challenge's protocol (track 2).

FOLDER holds the splits of the rule `prepare`; without them snakemake makes them, which downloads CIFAR-100. Every row
is appended to benchmarks/gpu.jsonl as soon as it is measured, and GPU.md is written from that file: if the run is cut
off, the rows so far remain. With --toy all of it runs on a CPU, on random images, at tiny size, without a compiler.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import measuring
from benchmarks.measuring import machine, processor_class
from benchmarks.models import TINY_UNET, TINY_UVIT, UNET, UVIT_S, Case, as_published, averaged
from benchmarks.quality import experiments
from benchmarks.sampling import EIGHT, PUBLISHED, generated
from diffdistill.classify import evaluation
from diffdistill.config import Protocol, Recipe
from diffdistill.config.protocols import with_named_protocol
from diffdistill.data import image_files
from diffdistill.data.image_files import ImageSet
from diffdistill.diffusion import pretrained, running, training
from diffdistill.diffusion.denoiser import NetworkDenoiser
from diffdistill.errors import UserError
from diffdistill.runtime import devices

FOLDER = Path(__file__).parent
PAGE, ROWS = FOLDER / "GPU.md", FOLDER / "gpu.jsonl"
TEN_MINUTES = 600.0
COLUMNS = ("part", "what", "value", "unit", "device")
INTRO = """# A GPU's first forty minutes

Written by `python -m benchmarks.gpu --minutes 40` from the rows in gpu.jsonl, each appended as soon as it was measured.
"""


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    minutes: float
    matrix: int = 8192
    networks: dict[str, Case] = field(default_factory=lambda: {"U-ViT-S, 32x32": UVIT_S, "U-Net, 32x32": UNET})
    train_batch: int = 512
    sample_batch: int = 500
    seconds: float = 5.0
    """Of every measurement of a rate."""
    epochs: int | None = None
    """Of the ConvNet; None: as the protocol says."""


TOY = Sizes(
    minutes=0.2, matrix=128, networks={"tiny U-ViT": TINY_UVIT, "tiny U-Net": TINY_UNET}, train_batch=8,
    sample_batch=8, seconds=0.05, epochs=1,
)  # fmt: skip


@dataclass
class Bench:
    """The device, and where rows go."""

    device: torch.device
    sizes: Sizes
    rows: Path | None
    """None: rows are only printed."""
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds."""
        return 60 * self.sizes.minutes - (time.monotonic() - self.started)

    def row(self, part: str, what: str, value: float, unit: str) -> None:
        """Print and record a row."""
        device = processor_class(self.device)
        print(f"| {part} | {what} | {value:,.4g} | {unit} | {device} |", flush=True)
        if self.rows is not None:
            record = dict(zip(COLUMNS, (part, what, value, unit, device), strict=True)) | {"machine": machine()}
            with self.rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            write_page()

    def rate(self, work: Callable[[], object], units: float) -> float:
        """Units per second of work that does so many, run again and again after two runs that do not count."""
        work(), work()
        devices.synchronise(self.device)
        started, runs = time.perf_counter(), 0
        while runs == 0 or time.perf_counter() - started < self.sizes.seconds:
            work()
            runs += 1
            devices.synchronise(self.device)
        return units * runs / (time.perf_counter() - started)


def write_page() -> None:
    """GPU.md from all recorded rows."""
    records = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}\n"
    lines = [
        f"| {one['part']} | {one['what']} | {one['value']:,.4g} | {one['unit']} | {one['device']} |" for one in records
    ]
    machines = "\n".join(f"On {one}.\n" for one in dict.fromkeys(record["machine"] for record in records))
    PAGE.write_text(f"{INTRO}\n{head}" + "\n".join(lines) + f"\n\n{machines}", encoding="utf-8")


def flops_per_image(case: Case) -> float:
    """Floating-point operations of one forward pass of one image; a product and its sum count as two."""
    denoiser, (x, y) = case.build(), case.data(1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        denoiser.network(x, torch.full((1,), 0.5), y)
    return float(counter.get_total_flops())


def peak(bench: Bench) -> dict[torch.dtype, float]:
    """FLOP/s of a large matrix product."""
    found, size = {}, bench.sizes.matrix
    for dtype in (torch.bfloat16, torch.float32):
        a, b = (torch.ones(size, size, dtype=dtype, device=bench.device) for _ in range(2))
        found[dtype] = bench.rate(lambda a=a, b=b: a @ b, 2 * size**3)  # type: ignore[misc]
        name = str(dtype).removeprefix("torch.")
        bench.row("peak", f"matrix product, {name}", found[dtype] / 1e12, "TFLOP/s")
    return found


def speed(bench: Bench, peaks: dict[torch.dtype, float]) -> None:
    """Rates of training and sampling, and their share of the peak."""
    device, sizes = bench.device, bench.sizes
    for name, case in sizes.networks.items():
        forward = flops_per_image(case)
        for compiled in (False, True):
            how = f"{name}, bfloat16{', compiled' if compiled else ''}"
            recipe = Recipe(iterations=10**9, batch_size=sizes.train_batch, flip=False, log_every=10**9)
            state = training.State.start(case.build().to(device), recipe)
            x, y = (tensor.to(device) for tensor in case.data(4 * sizes.train_batch))
            execution = training.Execution(precision=torch.bfloat16, compile=compiled)
            steps = 10  # the first of a call is not overlapped
            rate = bench.rate(
                lambda: training.train(state, x, y, recipe, until=state.iteration + steps, execution=execution),  # noqa: B023
                steps * sizes.train_batch,
            )
            bench.row("training", how, rate, "images per second")
            bench.row("training", how, 3 * forward * rate / peaks[torch.bfloat16], "share of peak")
            denoiser = running.prepared(case.build().to(device).eval(), "bfloat16", compiled)
            rate = evaluations(bench, denoiser, case)
            bench.row("sampling", how, rate, "network evaluations of an image per second")
            bench.row("sampling", how, forward * rate / peaks[torch.bfloat16], "share of peak")


def evaluations(bench: Bench, denoiser: Any, case: Case) -> float:
    """Network evaluations of an image per second."""
    count = bench.sizes.sample_batch
    x, y = (tensor.to(bench.device) for tensor in case.data(count))
    t = torch.full((count,), 0.5, device=bench.device)

    @torch.inference_mode()
    def evaluate() -> None:
        denoiser.predict_noise(x, t, y)

    return bench.rate(evaluate, count)


def ten_minutes(bench: Bench) -> None:
    """Images in ten minutes by the published recipe and by ours."""
    device, count = bench.device, bench.sizes.sample_batch
    for name, case in bench.sizes.networks.items():
        denoiser = case.build().to(device).eval()
        started = time.perf_counter()
        plan = running.plan(
            denoiser, precision="auto", compile="auto", batch_size=count, budget_seconds=TEN_MINUTES, device=device
        )
        planning = time.perf_counter() - started
        published = as_published(denoiser)
        theirs = bench.rate(lambda: generated(published, PUBLISHED, count, device), count)  # noqa: B023
        batch = plan.batch_size or count
        ours = bench.rate(lambda: generated(plan.denoiser, EIGHT, batch, device), batch)  # noqa: B023
        images = TEN_MINUTES * theirs, max(0.0, TEN_MINUTES - planning) * ours
        bench.row("ten minutes", f"{name}, published: DPM-Solver, NFE 50, float32 eager", images[0], "images")
        bench.row("ten minutes", f"{name}, ours: DPM-Solver++, NFE 8, {plan.precision}", images[1], "images")
        bench.row("ten minutes", f"{name}, ours to published", images[1] / images[0], "ratio")


def random_set(case: Case, count: int) -> ImageSet:
    """Noise in place of images."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, *case.image_shape), generator=random, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % case.num_classes, [str(n) for n in range(case.num_classes)], {})


def real_sets(folder: Path) -> tuple[ImageSet, ImageSet]:
    """Train and test split of CIFAR-100. Raises UserError if they are not there and cannot be made."""
    paths = [folder / f"{name}.safetensors" for name in ("train", "test")]
    if not all(path.exists() for path in paths):
        targets = [f"data/cifar100/{path.name}" for path in paths]
        command = [sys.executable, "-m", "snakemake", "--cores", "4", *targets]
        if folder != FOLDER.parent / "data/cifar100" or subprocess.run(command, cwd=FOLDER.parent).returncode:
            raise UserError(f"{folder}: no train.safetensors and test.safetensors; run `snakemake {' '.join(targets)}`")
    train, test = (image_files.load(path) for path in paths)
    return train, test


def cifar(bench: Bench, case: Case, train: ImageSet, test: ImageSet, protocol: Protocol, start: Path | None) -> None:
    """Train for half of the time that is left, sample for ten minutes or a sixth, evaluate with what remains."""
    what = "U-ViT from start weights" if start is not None else "U-Net from scratch"
    denoiser, spent = trained(bench, case, train, bench.left / 2, start)
    bench.row("CIFAR-100", f"{what}: training", spent, "seconds")
    device, count = bench.device, bench.sizes.sample_batch
    plan = running.plan(
        denoiser, precision="auto", compile="auto", batch_size=count, budget_seconds=TEN_MINUTES, device=device
    )
    batch, images = plan.batch_size or count, list[Tensor]()
    budget = min(TEN_MINUTES, bench.left / 3)
    most = affordable(bench, train, protocol, bench.left - budget)
    started = time.monotonic()
    while not images or (time.monotonic() - started < budget and len(images) * batch < most):
        images.append(generated(plan.denoiser, EIGHT, batch, device, first=batch * len(images)))
    samples = torch.cat(images)
    labels = torch.arange(len(samples)) % case.num_classes
    bench.row("CIFAR-100", f"{what}: images sampled in {time.monotonic() - started:.0f} s", len(samples), "images")
    row = evaluation.tested(
        samples, labels, test, protocol=protocol, seed=0, device=device, progress="ConvNet of the challenge"
    )
    bench.row("CIFAR-100", f"{what}: ConvNet, {protocol.epochs} epochs, one seed", row["accuracy"], "accuracy")


def trained(
    bench: Bench, case: Case, data: ImageSet, seconds: float, start: Path | None
) -> tuple[NetworkDenoiser, float]:
    """A denoiser trained for so many seconds, the rate falling to 0 at the end; its EMA weights, and the seconds."""
    started, device, batch = time.monotonic(), bench.device, bench.sizes.train_batch
    denoiser = case.build()
    if start is not None:
        print(pretrained.load_into(denoiser.network, start, data.classes), flush=True)
    images, labels = data.images.to(device), data.labels.to(device)
    execution = training.Execution(precision=torch.bfloat16, compile=True)
    common: dict[str, Any] = {"batch_size": batch, "learning_rate": 1e-3 if start is None else 2e-4, "log_every": 10**9}
    trial, probe = Recipe(iterations=10**9, **common), max(2, min(50, int(seconds)))
    state = training.State.start(denoiser.to(device), trial)
    training.train(state, images, labels, trial, until=2, execution=execution)  # compiles
    paced = time.monotonic()
    training.train(state, images, labels, trial, until=2 + probe, execution=execution)
    pace = (time.monotonic() - paced) / probe
    iterations = state.iteration + max(20, int(0.95 * (seconds - (time.monotonic() - started)) / pace))
    recipe = Recipe(
        iterations=iterations, warmup_iterations=min(200, iterations // 10), decay="linear", ema_decays=(0.999,),
        loss_weight="min_snr", **common,
    )  # fmt: skip
    training.train(
        state, images, labels, recipe, until=iterations, execution=execution,
        stop_signal=lambda: int(time.monotonic() - started > seconds),
    )  # fmt: skip
    print(f"{state.iteration} of {iterations} iterations", flush=True)
    return averaged(state), time.monotonic() - started


def affordable(bench: Bench, data: ImageSet, protocol: Protocol, seconds: float) -> int:
    """How many images a ConvNet can be trained on in so many seconds, by a short training; at least one batch."""
    steps = 2 if bench.sizes.epochs else 40
    block = protocol.changed(epochs=None, steps=steps)
    rows = slice(0, steps * block.batch_size)
    once, twice = (
        measuring.seconds(
            lambda count=count: evaluation.tested(  # type: ignore[misc]
                data.images[rows], data.labels[rows], ImageSet(data.images[:10], data.labels[:10], data.classes, {}),
                protocol=block.changed(steps=count), seed=0, device=bench.device, progress="pace",
            )
        )
        for count in (steps, 2 * steps)
    )  # fmt: skip
    pace = max(1e-4, (twice - once) / steps)
    batches = 0.8 * seconds / pace / (protocol.epochs or 1)
    return max(1, int(batches)) * block.batch_size


def challenge(sizes: Sizes) -> Protocol:
    """The challenge's protocol, track 2, as config.yaml has it."""
    block = with_named_protocol(experiments(FOLDER.parent / "config.yaml")["cifar100"])["evaluate"]["protocol"]
    protocol = Protocol.model_validate(block)
    return protocol if sizes.epochs is None else protocol.changed(epochs=sizes.epochs, width=8, batch_size=8, depth=2)


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """torch.compile runs the code as it is."""
    with torch.compiler.set_stance("force_eager"):
        yield


def measure(arguments: argparse.Namespace, device: torch.device, sizes: Sizes) -> None:
    bench = Bench(device, sizes, None if arguments.toy else ROWS)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    speed(bench, peak(bench))
    ten_minutes(bench)
    uvit, unet = sizes.networks.values()
    case = unet if arguments.start is None else uvit
    train, test = (random_set(case, 40), random_set(case, 20)) if arguments.toy else real_sets(arguments.data)
    cifar(bench, case, train, test, challenge(sizes), arguments.start)


def main(argv: Sequence[str] | None = None) -> int:
    parser = measuring.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=40.0, help="for all of it")
    parser.add_argument("--data", type=Path, default=FOLDER.parent / "data/cifar100", help="folder of the splits")
    parser.add_argument("--start", type=Path, help="weights of U-ViT-S to start from")
    arguments = parser.parse_args(argv)
    device = devices.best_device()
    if not arguments.toy and device.type != "cuda":
        print("error: torch sees no GPU; run it where there is one, or try the command with --toy", file=sys.stderr)
        return 2
    try:
        with without_compiler() if arguments.toy else contextlib.nullcontext():
            measure(arguments, device, TOY if arguments.toy else Sizes(minutes=arguments.minutes))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
