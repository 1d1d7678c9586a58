"""Reads the account of the main set; writes the settings by which `sample` draws as many images from another seed."""

import sys
from collections.abc import Sequence

from diffdistill import config
from diffdistill.runtime import files, program


def stage(job: program.Job) -> None:
    account = files.read_record(job.input("account"), "images", "plan")
    main_set = config.read(config.Sample, job.config["sample"])
    changed = {
        "budget_seconds": None,
        "images": account["images"],
        "precision": account["plan"]["precision"],
        "seed": main_set.seed + job.config["round"],
    }
    settings = config.read(config.Sample, main_set.model_dump() | changed, str(job.input("account")))
    files.write_text(job.output("settings"), config.as_json(settings) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    return program.run(stage, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
