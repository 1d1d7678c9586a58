"""config/schema.json: what the types give, a description per key, and true of every config that we show."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from config.write_schema import FILE, schema, text

from diffdistill import config
from diffdistill.errors import UserError
from tests.shipped import VALUES as WHOLE
from tests.workflow.conftest import TINY

REPOSITORY = Path(__file__).parents[2]
SHOWN = {
    **{name: (REPOSITORY / name).read_text() for name in ("config.yaml", ".test/config.yaml")},
    **{path.name: path.read_text() for path in REPOSITORY.glob("benchmarks/*.yaml")},
    **{
        f"{page.name} {number}": block
        for page in [*REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("*/README.md")]
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL))
        if re.search(r"^(experiments|reports|comparisons):", block, flags=re.MULTILINE)
    },
    "the tiny experiment": TINY,
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    found = schema()
    jsonschema.Draft7Validator.check_schema(found)
    return jsonschema.Draft7Validator(found)


def properties(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every block."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "properties":
                yield from value.items()
            yield from properties(value)
    elif isinstance(node, list):
        for value in node:
            yield from properties(value)


def test_the_file_is_what_the_types_give() -> None:
    assert FILE.read_text(encoding="utf-8") == text(), "make schema"


def test_every_key_says_what_it_is() -> None:
    keys = list(properties(schema()))
    assert len(keys) > 200
    for name, field in keys:
        assert re.fullmatch(r"\w.{5,}(\.|…)", field["description"]), name


@pytest.mark.parametrize("name", SHOWN)
def test_what_we_show_fits(validator: jsonschema.Draft7Validator, name: str) -> None:
    validator.validate(yaml.safe_load(SHOWN[name]))


def test_editors_find_it() -> None:
    for name in ("config.yaml", ".test/config.yaml"):
        first = SHOWN[name].split("\n", 1)[0]
        place = (REPOSITORY / name).parent / first.removeprefix("# yaml-language-server: $schema=")
        assert place.resolve() == FILE.resolve(), name


def overlaid(values: Any, overlay: Any) -> Any:
    """As Snakemake merges a second file."""
    if isinstance(values, dict) and isinstance(overlay, dict):
        return {**values, **{key: overlaid(values.get(key), value) for key, value in overlay.items()}}
    return overlay


TAKEN = [
    "train: { iterations: 4e3, learning_rate: 2e-3, batch_size: '6_4' }",
    "train: { iterations: 4000.0, start: { path: mine.pth } }",
    "model: { kind: unet, channels: 16, patch_size: null, embed_dim: null, depth: null }",
    "model: { mlp_ratio: null }",
    "source: { validation_per_class: 5, verify: contents }",
    "generator: { kind: train }",
    "sample: { counts: { 7: 20, 'no': 30 } }",
    "evaluate: { protocol: { epochs: null } }",
    "fid: { class_measures: true }",
    "tune: null",
    "audit: null",
    "study: { mix: [0.5, 1, 2] }",
    "release: { despite: [copies] }",
]
REFUSED = [
    "train: { itterations: 5 }",
    "train: { iterations: soon }",
    "train: { iterations: 0 }",
    "train: { betas: [0.9] }",
    "model: { kind: mlp }",
    "model: { channels: 16, embed_dim: 32 }",
    "generator: { kind: gan }",
    "generator: { kind: samples, name: Mine }",
    "sample: { solver: { algorithm: euler } }",
    "select: { method: best }",
    "evaluate: { protocol: track3 }",
    "classifier: { protocol: track2 }",
    "export: null",
    "release: { despite: [everything] }",
    "fid: { solver: { t_end: 1 } }",
]


@pytest.mark.parametrize(("block", "taken"), [(block, block in TAKEN) for block in TAKEN + REFUSED])
def test_it_takes_what_the_types_take(validator: jsonschema.Draft7Validator, block: str, taken: bool) -> None:
    overlay = {"experiments": {"digits": yaml.safe_load(block)}}
    assert validator.is_valid(overlay) == taken
    if taken:
        config.parse(overlaid(WHOLE, overlay))
    else:
        with pytest.raises(UserError):
            config.parse(overlaid(WHOLE, overlay))


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ("experiments: { digits: null }", True),
        ("reports: { demo: null }", True),
        ("comparisons: { mine: null }", True),
        ("experiments: { a: &a { threads: 1 }, b: { <<: *a, dataset: a } }", True),
        ("experiments: { a: { source: { kind: folder, groups: people.csv } } }", True),
        ("experiments: { a: { source: { kind: folder, groups: { pattern: '(.)_' } } } }", True),
        ("experiments: { a: { evaluate: { protocol: { name: track2, width: 64 } } } }", True),
        ("experiments: { a: { generator: { kind: python, arguments: { size: 3, path: null } } } }", True),
        ("experiments: { 'a/b': { threads: 1 } }", False),
        ("experiments: null", False),
        ("targets: paper", False),
        ("experiment: {}", False),
    ],
)
def test_it_takes_whole_files_and_overlays(validator: jsonschema.Draft7Validator, content: str, taken: bool) -> None:
    assert validator.is_valid(yaml.safe_load(content)) == taken
