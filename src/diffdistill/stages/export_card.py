"""Reads the distilled set, the real train split, the exported files and results; writes the data set card.

The same facts for machines go into a Croissant file.
"""

from diffdistill.config import stages
from diffdistill.report import croissant, results
from diffdistill.report.card import Licence, card
from diffdistill.runtime import files
from diffdistill.runtime.program import Job

OPTIONAL = ("accuracy", "baselines", "account", "refined", "audit")


def main(job: Job[stages.ExportCard]) -> None:
    settings = job.settings
    inputs = {name: str(job.input(name)) for name in OPTIONAL if job.inputs.get(name)}
    shown = stages.ReportedExperiment(
        dataset=settings.experiment,
        settings={},
        files=stages.ExperimentFiles(real=str(job.input("real")), distilled=str(job.input("distilled")), **inputs),
    )
    licence = Licence(settings.licence, settings.source, "set export.licence before passing the images on")
    experiment = results.read(settings.experiment, shown)
    exported, despite = job.all_inputs("files"), settings.release.despite
    files.write_text(job.output("card"), card(experiment, exported, licence, despite))
    files.write_json(job.output("croissant"), croissant.metadata(experiment, exported, licence, despite))
