"""The text of a proposed experiment: YAML with a reason beside each choice."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from diffdistill import config
from diffdistill.commands import proposal
from diffdistill.config import ModelBlock


@dataclass(frozen=True)
class Choice:
    """All that the text says."""

    name: str
    path: str
    """Of the pictures, as the workflow is to find it from the folder that it runs in."""
    skip: tuple[str, ...]
    where: proposal.Shape
    model: ModelBlock
    plan: proposal.Plan
    nested: bool
    hours: float
    budget: float
    flip: bool
    mirror_ratio: float
    machine: str
    common_size: str


def text(choice: Choice) -> str:
    """The block as written to a file. Raises UserError if it is no valid config, such as for a name that is taken."""
    where, plan = choice.where, choice.plan
    source: dict[str, Any] = {"kind": "folder", "path": choice.path, "size": where.size}
    if choice.nested:
        source["splits"] = {}
    if choice.skip:
        source["skip"] = list(choice.skip)
    for key in ("validation_per_class", "test_per_class"):
        if getattr(where, key) is not None:
            source[key] = getattr(where, key)
    model = choice.model.model_dump(mode="json", exclude={"kind", "mlp_ratio"})
    fits = f"{plan.costs.train / 60:.1f} min of {choice.hours:g} h"
    written = f"""\
# Proposed by diffdistill init for {where.train_images} train images in {where.classes} classes, on {choice.machine}.
# Run it with: diffdistill run --configfile THIS_FILE
reports: {{ {choice.name}: [{choice.name}] }}
targets: [{choice.name}]
experiments:
  {choice.name}:
    source:
{_keys(source, 6, SOURCE_REASONS | {"size": f"the middle square, scaled; most pictures have {choice.common_size}"})}
    model: # from the table in docs/own-data.md: the largest that the hours train for long enough
{_keys({"kind": choice.model.kind, **model}, 6, {})}
    train:
{_keys(_train(choice), 6, TRAIN_REASONS | {"iterations": fits, "flip": flip_reason(choice.flip, choice.mirror_ratio)})}
    fid: {{ every: {plan.every}, images: {plan.fid_images}, features: classifier, \
solver: {{ order: 2, nfe: {proposal.NFE} }} }} # features need no download
    sample: {{ budget_seconds: {choice.budget:g}, solver: {{ order: 2, nfe: {proposal.NFE} }} }}
    evaluate:
      protocol: # one for generated and real images; steps by the number of train images and the hours
{_keys(plan.protocol, 8, {})}
    audit: {{ members: {plan.audit_members} }} # train images whose loss is compared with that of as many others
"""
    config.parse(yaml.safe_load(written), "the proposed block")
    return written


SOURCE_REASONS = {
    "splits": "none: the folders at the top are the classes",
    "skip": "what is no picture",
    "validation_per_class": "every choice is made on these",
    "test_per_class": "read for the final accuracy alone",
}
TRAIN_REASONS = {
    "slice_iterations": "one job",
    "batch_size": "fits the memory",
    "decay": "to 0 at the last iteration",
    "compile": f"a step of a U-Net is at least {proposal.COMPILED_GAIN:g} times as fast on a CPU",
}


def flip_reason(flip: bool, ratio: float) -> str:
    """Why pictures are mirrored or not, in one line."""
    result = "as near to others of their class as they are" if flip else "less like others of their class"
    return f"mirrored pictures are {result} (distance x {ratio:.2f}); change it if you know better"


def _train(choice: Choice) -> dict[str, Any]:
    plan, kind = choice.plan, choice.model.kind
    iterations = plan.iterations
    optimiser = {"optimiser": "muon"} if proposal.OPTIMISERS[kind] == "muon" else {}
    return optimiser | {
        "iterations": iterations,
        "slice_iterations": plan.slice_iterations,
        "batch_size": plan.batch_size,
        "learning_rate": 1e-3 if kind == "unet" else 2e-4,
        "warmup_iterations": min(1_000, iterations // 20),
        "decay": "linear",
        "betas": [0.9, 0.99],
        "ema_decays": [0.9 if iterations < 500 else 0.99 if iterations < 5_000 else 0.999],
        "loss_weight": "min_snr",
        "flip": choice.flip,
        **({"compile": True} if plan.compile else {}),
    }


def _keys(values: Mapping[str, Any], indent: int, reasons: Mapping[str, str]) -> str:
    """One line per key, its value as JSON, which is YAML too."""
    lines = []
    for key, value in values.items():
        reason = f" # {reasons[key]}" if key in reasons else ""
        plain = isinstance(value, str) and value.replace("_", "").isalpha() and yaml.safe_load(value) == value
        shown = value if plain else json.dumps(value)
        lines.append(f"{' ' * indent}{key}: {shown}{reason}")
    return "\n".join(lines)
