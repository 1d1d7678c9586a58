"""Puts the workflow into the wheel, as diffdistill/_workflow; everything else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CARRIED = ("workflow", "profiles/default", "resources", "config.yaml", "envs/environment.yaml")


class BuildWithWorkflow(build_py):
    """An editable install reads the workflow from the clone and copies nothing."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "diffdistill" / "_workflow"
        shutil.rmtree(target, ignore_errors=True)
        for name in CARRIED:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, target / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
