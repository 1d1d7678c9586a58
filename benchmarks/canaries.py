"""From how many copies in the train split on the audit sees an image: a canary run on the digits.

python -m benchmarks.canaries    writes benchmarks/CANARIES.md; about two minutes of training on one core

Held-out digits are put into the train split, some of them once, some 4, 16 or 64 times; others stay out as a control. A
U-ViT is trained on it as digits.yaml says. The audit's measures then compare the canaries of each group with
held-out digits, which an audit cannot do: it does not know which images to suspect, and takes all of train together.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import measuring
from benchmarks.measuring import CPU, machine
from benchmarks.quality import Split, digits_block, digits_experiment, shortened, trained
from benchmarks.sampling import EIGHT, generated
from diffdistill.config.evaluation import Audit
from diffdistill.diffusion.denoiser import Denoiser
from diffdistill.diffusion.loss import losses_at
from diffdistill.metrics import gate, memorisation
from diffdistill.metrics.gate import HeldOut, Measure
from diffdistill.metrics.membership import membership

FOLDER = Path(__file__).parent
COPIES = (0, 1, 4, 16, 64)
PER_CLASS = 2
ITERATIONS, IMAGES, BATCH = 5000, 5000, 250
HEAD = (
    "| images | copies | draws of each | nearest neighbour | membership by distance | membership by loss | "
    "loss, at 1 % false alarms | copies among the generated |\n|---|---|---|---|---|---|---|---|\n"
)


def groups(held: Split) -> tuple[list[Split], Split]:
    """The first digits of each class, PER_CLASS for each of COPIES, and the rest."""
    place = torch.tensor([int((held.labels[:row] == label).sum()) for row, label in enumerate(held.labels)])
    group = place // PER_CLASS
    return [_only(held, group == number) for number in range(len(COPIES))], _only(held, group >= len(COPIES))


def _only(data: Split, kept: torch.Tensor) -> Split:
    return Split(data.images[kept], data.labels[kept])


def together(parts: Sequence[Split]) -> Split:
    return Split(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def measures(members: Split, others: Split, made: torch.Tensor, denoiser: Denoiser, audit: Audit) -> list[Measure]:
    """The audit's measures of images that were trained on against others; made: the generated images."""

    def near(queries: torch.Tensor, references: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return memorisation.nearest(queries, references, embed=memorisation.pixels, device=CPU)

    both, held_out = (members, others), HeldOut(len(others.labels), len(others.labels))
    found = [near(made, data.images) for data in both]
    hits = memorisation.hits(found[0], found[1], (len(members.labels), len(others.labels)))
    real = [memorisation.Real(data.labels.numpy()) for data in both]
    share = memorisation.share_in_train(*hits, *real, seed=audit.seed)
    distances = [near(data.images, made)[0][:, 0].numpy() for data in both]
    losses = [
        losses_at(
            denoiser, data.images, data.labels, times=audit.times, noises=audit.noises, seed=audit.seed,
            batch_size=audit.batch_size, device=CPU,
        ).mean(1).numpy()
        for data in both
    ]  # fmt: skip
    return [
        gate.nearest("nearest_neighbour", share, held_out),
        gate.membership("membership_distance", membership(*distances, seed=audit.seed), held_out)[0],
        *gate.membership("membership_loss", membership(*losses, seed=audit.seed), held_out),
    ]


def shown(measure: Measure) -> str:
    """Bold where the gate would flag it."""
    text = f"{measure.value:.2f} ({measure.low:.2f} to {measure.high:.2f})"
    return f"**{text}**" if measure.verdict == "flagged" else text


def copied(made: torch.Tensor, references: Split, of: Split) -> int:
    """How many generated images are three times nearer to one of these references than to any other."""
    distances, index = memorisation.nearest(made, references.images, embed=memorisation.pixels, device=CPU)
    marked = index[:, 0][memorisation.much_nearer(distances)]
    return int(memorisation.stands_in(references.images[marked], of.images).sum())


def main(argv: Sequence[str] | None = None) -> int:
    arguments = measuring.parser(__doc__).parse_args(argv)
    torch.set_num_threads(1)
    iterations, images = (5, 2 * BATCH) if arguments.toy else (ITERATIONS, IMAGES)
    block = shortened(digits_block(), iterations, iterations)
    experiment = digits_experiment(block)
    assert experiment.train is not None
    audit = Audit()
    train, held = Split.digits(experiment)
    canaries, others = groups(held)
    inserted = [one for copies, one in zip(COPIES, canaries, strict=True) for _ in range(copies)]
    data = together([train, *inserted])
    started = time.process_time()
    denoiser = trained(experiment, data)
    seconds = time.process_time() - started
    made = torch.cat([generated(denoiser, EIGHT, BATCH, first=first) for first in range(0, images, BATCH)])
    draws = iterations * experiment.train.batch_size / len(data.labels)
    different, references = together([train, *canaries[1:]]), together([train, *canaries])
    rows = [(f"{len(one.labels)} canaries", copies, one) for copies, one in zip(COPIES, canaries, strict=True)]
    rows += [("train split without canaries", 1, train), ("train split, as the audit sees it", 1, different)]
    lines = []
    for name, copies, of in rows[:: len(rows) - 1] if arguments.toy else rows:
        cells = [shown(one) for one in measures(of, others, made, denoiser, audit)]
        count = "" if of is different else f"{copies} "
        each = "" if of is different else f"{copies * draws:,.0f} "
        lines.append(f"| {name} | {count}| {each}| {' | '.join(cells)} | {copied(made, references, of)} |")
        print(lines[-1], flush=True)
    text = (
        "# Canaries: from how many copies on the audit sees an image\n\nWritten by `python -m benchmarks.canaries`: "
        f"{len(train.labels)} digits and the canaries in train, {len(others.labels)} held out; {iterations:,} "
        f"iterations in {seconds:.0f} s of one core; {images:,} generated images. Intervals: 95 %; chance is 0.5, and "
        f"0.01 at 1 % false alarms; bold: the gate flags it. On {machine()}.\n\n{HEAD}" + "\n".join(lines) + "\n"
    )
    print(text)
    if not arguments.toy:
        (FOLDER / "CANARIES.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
