"""The page of faults is what the tests say, and every kind has a proof."""

import ast

import pytest

from tests.faults import catalogue


def test_the_page_is_up_to_date() -> None:
    assert catalogue.PAGE.read_text(encoding="utf-8") == catalogue.page(), "run python -m tests.faults"


def test_every_kind_has_a_proof() -> None:
    kinds = {row.fault.kind for row in catalogue.rows()}
    assert kinds == set(catalogue.TITLES) and set(catalogue.NOT_APPLICABLE) <= kinds


@pytest.mark.parametrize("path", sorted({row.test.split("::")[0] for row in catalogue.rows()}))
def test_every_proof_exists(path: str) -> None:
    tree = ast.parse((catalogue.REPOSITORY / path).read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    named = {row.test.split("::")[1] for row in catalogue.rows() if row.test.startswith(f"{path}::")}
    assert named <= tests, named - tests


def test_every_test_here_says_its_fault() -> None:
    for name in catalogue.MODULES:
        path = f"tests/faults/test_{name}.py"
        tree = ast.parse((catalogue.REPOSITORY / path).read_text(encoding="utf-8"))
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert tests == {row.test.split("::")[1] for row in catalogue.rows() if row.test.startswith(f"{path}::")}
