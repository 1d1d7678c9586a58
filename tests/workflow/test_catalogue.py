"""What the Snakemake workflow catalogue asks for; `.test/` is run to its end by tests/faults/test_environments.py."""

import re

import pytest
import yaml

from tests.workflow.conftest import REPOSITORY

FILES = [REPOSITORY / "workflow/Snakefile", *(REPOSITORY / "workflow/rules").glob("*.smk")]
RULES = "\n".join(path.read_text() for path in FILES)
USAGE = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]


@pytest.mark.parametrize("name", ["workflow/Snakefile", "config/README.md", ".test/config.yaml"])
def test_the_standard_files_are_there(name: str) -> None:
    assert (REPOSITORY / name).is_file()


def test_the_catalogue_says_what_rules_have() -> None:
    rules = re.findall(r"^rule \w+:\n(?:    .*\n|\n)+", RULES, flags=re.MULTILINE)
    assert len(rules) > 30 and all("    conda:\n" in rule or "    run:\n" in rule for rule in rules)
    assert USAGE["software-stack-deployment"]["conda"] and USAGE["report"] and "report(" in RULES
