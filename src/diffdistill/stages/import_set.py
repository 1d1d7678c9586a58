"""Reads a finished set of labelled images and the real train split; writes the samples and their account.

The set may be a file or a folder in any form of `data.sets`; its labels may be a file of their own. The real train
split says what classes and shape the samples need, and where the data set comes from.
"""

import json
import logging
import time

import torch

from diffdistill.config import stages
from diffdistill.data import sets
from diffdistill.errors import UserError
from diffdistill.runtime import files, provenance
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)

ADVICE = (
    "the keys of generator that say how a set is read: format, images_key, labels_key, labels, classes, values, mean, "
    "std, clip, experiment, soft_labels (docs/finished-sets.md)"
)


def main(job: Job[stages.ImportSet]) -> None:
    started, path = time.perf_counter(), job.input("set")
    labels = str(job.input("labels")) if "labels" in job.inputs else None
    block = job.settings.generator.changed(path=str(path), labels=labels)
    if (job.settings.generator.labels is None) != (labels is None):
        raise UserError("generator.labels and --in labels=PATH belong together; give both or neither")
    real, of_real = sets.real_set(job.input("train"))
    metadata = {
        **sets.metadata_of(of_real),
        "made_by": f"a finished set, {path.name}",
        **provenance.as_metadata(job.settings, job.inputs, torch.device("cpu")),
        "read_as": json.dumps(block.model_dump(mode="json", exclude={"path", "labels"}), sort_keys=True),
    }
    try:
        found = sets.read(path, block, real, job.output("samples"), metadata)
    except UserError as error:
        raise UserError(f"{error}; {ADVICE}") from error
    logger.info("%s", found.line)
    account = {
        "images": found.images,
        "generator": {"kind": "samples", "form": found.form, "bytes": found.bytes, "soft_labels": found.soft_labels},
        "seconds": round(time.perf_counter() - started, 3),
        "found": found.line,
    }
    files.write_json(job.output("account"), account)
