"""`diffdistill init`: inspects pictures, times the machine, and writes an experiment that fits the hours."""

import argparse
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import yaml

from diffdistill.commands import block, proposal
from diffdistill.commands.inspection import Inspection, inspect, mirror_ratio
from diffdistill.commands.run import shipped_names
from diffdistill.config import ModelBlock, Protocol, Recipe
from diffdistill.config.load import RESERVED
from diffdistill.errors import UserError
from diffdistill.planning import sources
from diffdistill.runtime import files

IMBALANCE = 3.0
"""Ratio of the largest class to the smallest from which it is worth a line."""
BUSY = 0.6
"""Load per core at the start from which the measurements are said to be those of a busy machine."""
THREADS = 8
"""Of a job that trains, if the machine has as many: the default of an experiment."""


def main(arguments: Sequence[str]) -> int:
    """Write the block and print what was found, chosen and why. Raises UserError, one line, if none can be made."""
    given = _parser().parse_args(arguments)
    hours = _positive(given.hours, "--hours", "2")
    budget = _positive(given.budget, "--budget", "600")
    name, output = _checked_name(given.name or name_for(given.path), given.path), Path(given.output)
    if output.exists() and not given.force:
        raise UserError(f"{output}: exists already; give another --output, or --force to replace it")
    proposal.training_seconds(hours, budget)  # refuses the numbers before anything takes time
    started, busy = time.monotonic(), os.getloadavg()[0]
    found = inspect(given.path, nested=given.nested)
    looked = time.monotonic() - started
    choice = propose(found, hours=hours, budget=budget, name=name, picture_seconds=looked / found.looked_at)
    written = block.text(choice)
    with files.replacing(output) as temporary:
        temporary.write_text(written, encoding="utf-8")
    print("\n".join([*_found_lines(found), "", *_choice_lines(choice), "", *_cost_lines(choice.plan.costs, hours)]))
    if busy > BUSY * (os.cpu_count() or 1):
        print(f"  other programs kept the machine busy (load {busy:.1f}): alone, more iterations may fit the hours")
    print(f"\nwrote {output} in {time.monotonic() - started:.0f} s; run it with:")
    print(f"  diffdistill run -n --configfile {output}   # what would run?\n  diffdistill run --configfile {output}")
    return 0


def propose(found: Inspection, *, hours: float, budget: float, name: str, picture_seconds: float) -> block.Choice:
    """An experiment for these pictures, by measurements on this machine.

    picture_seconds: what reading one picture takes. Raises UserError if none fits.
    """
    import torch

    from diffdistill.commands import timing
    from diffdistill.runtime import devices

    devices.set_up(min(THREADS, os.cpu_count() or 1))
    device, where = devices.best_device(), proposal.shape(found)
    ratio = mirror_ratio(found.thumbnails)
    flip = ratio <= proposal.MIRROR_LIMIT
    batches: dict[str, int] = {}

    def step(model: ModelBlock, where: proposal.Shape) -> float:
        denoiser = timing.build(model, where.image, where.classes)
        wanted = 64 if where.train_images < 2_000 else 128
        batch = batches[model.model_dump_json()] = timing.largest_batch(denoiser, wanted, device)
        recipe = Recipe(iterations=10**6, batch_size=batch, flip=flip, optimiser=proposal.OPTIMISERS[model.kind])
        return timing.denoiser_step(denoiser, recipe, device)

    def rungs(where: proposal.Shape) -> list[ModelBlock]:
        return proposal.ladder(where.size, where.train_images)

    seconds = proposal.training_seconds(hours, budget)
    where = proposal.affordable(where, lambda some: step(rungs(some)[0], some), seconds)
    model, taken = proposal.climb(
        rungs(where), lambda one: timing.operations(one, where.image, where.classes), lambda one: step(one, where),
        seconds,
    )  # fmt: skip
    protocol = proposal.protocol(where, device.type == "cuda", flip)
    convnet = timing.convnet_step(Protocol.model_validate(protocol), where.image, where.classes, device)
    plan = proposal.plan(
        where, hours=hours, budget=budget, batch_size=batches[model.model_dump_json()], step=taken,
        compile=timing.compiles(device) and proposal.pays_to_compile(model, seconds), convnet_step=convnet,
        protocol=protocol, pictures=found.count, picture_seconds=picture_seconds,
    )  # fmt: skip
    width, height = found.sizes.most_common(1)[0][0]
    machine = devices.describe(device)["device"] + f", {torch.get_num_threads()} threads"
    return block.Choice(
        name=name, path=_place(found.path), skip=found.skip(), where=where, model=model,
        plan=plan, hours=hours, budget=budget, flip=flip, mirror_ratio=ratio, machine=machine,
        common_size=f"{width}x{height}", nested=found.nested,
    )  # fmt: skip


def name_for(path: Path) -> str:
    """A name of the experiment after the folder or archive, as far as it is free: see _checked_name."""
    stem = path.resolve().name.partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-").lower() or "images"
    if yaml.safe_load(name) != name or not name[0].isalpha():  # such as a year, or yes
        return f"set-{name}"
    return f"{name}-set" if name in RESERVED | shipped_names() or sources.holds(path, name) else name


def _checked_name(name: str, path: Path) -> str:
    """Raises UserError for a name that an experiment on these pictures cannot have."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name) or yaml.safe_load(name) != name:
        raise UserError(f"--name {name}: letters, digits, '_', '.' and '-' after a letter are needed, such as flowers")
    if name in RESERVED:
        raise UserError(f"--name {name}: the workflow uses this name itself; give another")
    if name in shipped_names():
        raise UserError(f"--name {name}: the workflow's config.yaml has it, and would be mixed in; give another")
    if sources.holds(path, ""):
        raise UserError(f"{path}: the workflow writes data/ into it; move the pictures into a folder of their own")
    if sources.holds(path, name):
        raise UserError(f"--name {name}: the workflow would write data/{name} among the pictures; give another")
    return name


def _place(path: Path) -> str:
    """Relative where the pictures lie below the current folder, else absolute."""
    resolved = path.resolve()
    return str(resolved.relative_to(Path.cwd()) if resolved.is_relative_to(Path.cwd()) else resolved)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="diffdistill init", description=__doc__)
    parser.add_argument("path", type=Path, help="a folder, zip or tar with a folder of pictures per class")
    parser.add_argument("--hours", default="2", help="that the whole experiment may take on this machine (2)")
    parser.add_argument("--budget", default="600", metavar="SECONDS", help="for sampling, part of the hours (600)")
    parser.add_argument("--name", help="of the experiment; else the folder's")
    parser.add_argument("--output", default="mine.yaml", metavar="FILE", help="(mine.yaml)")
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    parser.add_argument("--nested", action="store_true", help="the folders at the top are classes that hold folders")
    return parser


def _positive(text: str, option: str, example: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UserError(f"{option} {text}: a number above 0 is needed, such as {example}")
    return number


def _found_lines(found: Inspection) -> list[str]:
    counts = found.train
    few, many = min(counts, key=lambda one: counts[one]), max(counts, key=lambda one: counts[one])
    splits = ", ".join(f"{sum(classes.values())} {split}" for split, classes in found.classes.items())
    sizes = ", ".join(f"{count} of {width}x{height}" for (width, height), count in found.sizes.most_common(3))
    more = f" and {len(found.sizes) - 3} more sizes" if len(found.sizes) > 3 else ""
    lines = [
        f"found {found.count} pictures in {len(counts)} classes ({splits}), {counts[few]} to {counts[many]} per class",
        f"  looked at {found.looked_at}: {'grey' if found.channels == 1 else 'colour'}; {sizes}{more}",
    ]
    if counts[many] > IMBALANCE * counts[few]:
        lines.append(
            f"  imbalance: '{many}' has {counts[many] / counts[few]:.1f} times the pictures of '{few}'; samples are "
            "drawn evenly, but accuracy on small classes is uncertain"
        )
    if found.duplicates:
        lines.append(f"  {found.duplicates} exact copies of other pictures; in both train and test they flatter")
    if found.plain:
        lines.append(f"  {found.plain} pictures of a single colour")
    for what, names in (("unreadable", list(found.unreadable)), ("not pictures, skipped", found.foreign)):
        endings = Counter(PurePosixPath(one).suffix.lower() or "no ending" for one in names)
        if names:
            lines.append(f"  {what}: " + ", ".join(f"{count} {ending}" for ending, count in endings.most_common()))
    return lines


def _choice_lines(choice: block.Choice) -> list[str]:
    where, plan, model = choice.where, choice.plan, choice.model
    widths = json.dumps(model.model_dump(exclude={"kind", "prediction", "mlp_ratio"})).strip("{}").replace('"', "")
    return [
        f"chose for {choice.hours:g} h on {choice.machine}:",
        f"  size {where.size}: most pictures have {choice.common_size}; at most {proposal.LARGEST_SIDE}, less for "
        "few hours",
        f"  network {model.kind} ({widths}): the largest that {where.train_images} train images and the hours allow",
        f"  {plan.iterations} iterations of {plan.batch_size} images, FID every {plan.every}; "
        f"{1000 * plan.costs.train / plan.iterations:.0f} ms an iteration",
        f"  flip {str(choice.flip).lower()}: {block.flip_reason(choice.flip, choice.mirror_ratio)}",
        f"  ConvNets of {plan.protocol['steps']} steps of {plan.protocol['batch_size']} images",
    ]


def _cost_lines(costs: proposal.Costs, hours: float) -> list[str]:
    titles = {
        "prepare": "reading the pictures", "train": "training the network", "fid": "measuring FID",
        "sample": "sampling (the budget)", "convnets": f"training {proposal.CONVNETS} ConvNets",
        "audit": "searching for copies", "starts": f"starting {proposal.JOBS} programs",
    }  # fmt: skip
    rows = [f"  {titles[part]:<24} {_duration(seconds):>9}" for part, seconds in vars(costs).items()]
    over = "" if costs.total <= 3600 * hours else f", more than the {hours:g} h: the rest cannot be shortened further"
    return ["about:", *rows, f"  {'in all':<24} {_duration(costs.total):>9}{over}"]


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.1f} s"
