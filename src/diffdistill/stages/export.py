"""Reads the distilled set and its audit; writes the set as a zip of PNGs, as Parquet, or as the challenge's tensor.

A set whose audit does not pass is refused, unless the settings name every measure that does not.
"""

import logging

from diffdistill.classify import training
from diffdistill.config import stages
from diffdistill.data import export, image_files
from diffdistill.errors import UserError
from diffdistill.metrics import gate
from diffdistill.runtime import files
from diffdistill.runtime.program import Job

logger = logging.getLogger(__name__)


def main(job: Job[stages.Export]) -> None:
    if job.inputs.get("audit"):
        _require_release(job)
    data, path, settings = image_files.load(job.input("distilled")), job.output("file"), job.settings
    if settings.form == "images":
        export.write_images(path, data)
    elif settings.form == "parquet":
        export.write_parquet(path, data)
    else:
        mean, std = training.statistics(settings.protocol, data.images)
        export.write_challenge(path, data, mean, std, settings.challenge_per_class)
        logger.info("normalised by mean %s and std %s", mean, std)
    logger.info("%d images of %d classes exported", len(data.labels), len(data.classes))


def _require_release(job: Job[stages.Export]) -> None:
    """Raises UserError naming the measures that block, or if the audit is of another set."""
    path, despite = job.input("audit"), job.settings.release.despite
    audit = files.read_record(path, "verdict", "measures", "made_from")
    if audit["made_from"]["inputs"].get("distilled") != [files.sha256(job.input("distilled"))]:
        raise UserError(f"{path}: is not the audit of {job.input('distilled')}; delete it and run again")
    blocking = gate.blocking(audit)
    for measure in blocking:
        logger.warning("%s: %s, %s", measure["name"], measure["verdict"], measure["reason"])
    if left := [measure for measure in blocking if measure["name"] not in despite]:
        listed = "; ".join(f"{measure['name']} {measure['verdict']}: {measure['reason']}" for measure in left)
        names = ", ".join(measure["name"] for measure in blocking)
        raise UserError(
            f"{path}: the set is not exported ({listed}); train with less memory of single images, hold out more "
            f"images, or write release: {{ despite: [{names}] }} if you answer for it"
        )
