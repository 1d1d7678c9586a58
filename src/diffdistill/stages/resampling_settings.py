"""Reads the account of the main set; writes the settings that sample as many images with another seed."""

from diffdistill import config
from diffdistill.config import stages
from diffdistill.runtime import files
from diffdistill.runtime.program import Job


def main(job: Job[stages.ResamplingSettings]) -> None:
    account = files.read_record(job.input("account"), "images", "plan")
    main_set = job.settings.sample
    changed = {
        "budget_seconds": None,
        "images": account["images"],
        "precision": account["plan"]["precision"],
        "seed": main_set.seed + job.settings.resampling,
    }
    sample = config.read(config.Sample, main_set.model_dump() | changed, str(job.input("account")))
    files.write_text(job.output("settings"), config.as_json(stages.Sample(sample=sample)) + "\n")
