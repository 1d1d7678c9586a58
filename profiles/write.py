"""Write the profiles of all engines from profiles/resources.yaml: `make profiles`."""

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]


def profiles() -> dict[str, str]:
    """The text of every profile by its path in the repository."""
    table = yaml.safe_load((ROOT / "profiles/resources.yaml").read_text())
    return {engine["file"]: profile(name, engine, table) for name, engine in table["engines"].items()}


def rules_with_gpus() -> list[str]:
    """Rules that ask for a GPU, in the order of their files; a rule made by `use rule` asks for what the other does."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    blocks = re.split(r"\n(?=rule |use rule )", f"\n{text}")
    found = [block.split()[1].rstrip(":") for block in blocks if block.startswith("rule ") and " gpu=" in block]
    inherited = re.findall(r"^use rule (\w+) as (\w+) with:", text, re.MULTILINE)
    return found + [new for old, new in inherited if old in found]


def profile(name: str, engine: dict[str, Any], table: dict[str, Any]) -> str:
    """One engine's config.yaml."""
    rules = "".join(
        f"  {rule}:\n" + "".join(f"    {key}: {_text(value)}\n" for key, value in engine["gpu"].items())
        for rule in rules_with_gpus()
    )
    return (
        f"{engine['head']}# Written by `make profiles` from profiles/resources.yaml.\n"
        f"executor: {name}\n{table['common']}{engine['options']}\n"
        f"default-resources:\n{textwrap.indent(engine['default-resources'], '  ')}\n"
        f"{engine['about-gpus']}set-resources:\n{rules}"
    )


def _text(value: object) -> str:
    """A value as YAML; a string in quotes keeps them, which Snakemake needs where it would evaluate it."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()


if __name__ == "__main__":
    for path, text in profiles().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
