"""The architecture of docs/architecture.md, checked: layers, no cycles, short modules, a test for each."""

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "diffdistill"
LAYERS = (
    {"errors"},
    {"config"},
    {"runtime"},
    {"data", "terminal"},
    {"diffusion", "classify", "planning"},
    {"metrics", "generators", "refining"},
    {"report"},
    {"stages", "commands", "__main__"},
)
"""From below; a package imports from its own and lower layers only, and not from its neighbours."""
MAX_LINES, MAX_FUNCTION_LINES = 300, 80
TESTED_ELSEWHERE = {
    "__main__": "tests/stages/test_bad_input.py runs the command line",
    "errors": "tests/stages/test_sample.py and others read what a refusal names",
    "classify.evaluation": "tests/stages/test_evaluate.py and test_study_run.py train and refuse by it",
    "config.checks": "tests/faults/test_settings.py refuses by every limit",
    "config.export": "fields without rules; tests/config/test_load.py parses them",
    "config.generator": "tests/config/test_experiment.py and tests/data/sets give every kind",
    "config.protocols": "tests/classify/test_tracks.py compares them with the published evaluation",
    "data.sets.*": "tests/data/sets tries every form and every fault on each of them",
    "planning.checkout": "tests/faults/test_queues.py has two folders",
    "planning.fitting": "tests/faults/test_settings.py plans what the data do not have",
    "planning.minutes": "tests/faults/test_queues.py asks for every kind of job",
    "refining.*": "tests/refining compares losses, parametrisations and resuming across modules",
    "report.study_figure": "tests/report/test_study.py draws it",
    "runtime.provenance": "every stage's test reads what it records",
    "stages.export_card": "tests/stages/test_export.py writes a card",
    "stages.fid_reference": "tests/stages/test_fid.py measures against its output",
    "stages.history": "tests/workflow/test_demo.py reads loss.csv",
    "stages.weights": "tests/stages/test_train.py takes weights out of slices",
    "config.reported": "tests/report/test_results.py reads by its blocks",
    "stages.comparison": "tests/report/test_comparison.py runs it",
    "stages.tables": "tests/report/test_parts.py makes the tables, tests/workflow/test_demo.py runs it",
    "stages.figures": "tests/report/test_parts.py makes the figures, tests/workflow/test_demo.py runs it",
    "stages.report": "tests/report/test_page.py renders the page, tests/workflow/test_demo.py runs it",
}
"""Modules without a test module of their name, and where they are tested."""
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Modules of the package that a module imports at its top or inside functions, below diffdistill."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("diffdistill"):
            base = node.module.removeprefix("diffdistill").removeprefix(".")
            for alias in node.names:
                child = ".".join(part for part in (base, alias.name) if part)
                yield child if (SOURCE / child.replace(".", "/")).with_suffix(".py").exists() else base or child
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("diffdistill."):
                    yield alias.name.removeprefix("diffdistill.")


def test_imports_point_down() -> None:
    level = {package: number for number, packages in enumerate(LAYERS) for package in packages}
    for path in SOURCE.rglob("*.py"):
        own = name_of(path).split(".")[0] or "__init__"
        for other in {name.split(".")[0] for name in imported(path)} - {own, ""}:
            assert level[other] < level[own], f"{name_of(path)} imports {other}"
    assert len(LAYERS) <= 8


def test_there_is_no_cycle() -> None:
    known = {name_of(path) for path in SOURCE.rglob("*.py")}
    graph = {name_of(path): {other for other in imported(path) if other in known} for path in SOURCE.rglob("*.py")}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name] - {name}):
                visit(other, (*above, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_stages_do_not_import_each_other() -> None:
    for path in (SOURCE / "stages").glob("*.py"):
        assert not [other for other in imported(path) if other.startswith("stages.")], path.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_a_test_of_its_name(path: Path) -> None:
    name = name_of(path)
    mirrored = REPOSITORY / "tests" / path.relative_to(SOURCE).with_name(f"test_{path.name}")
    elsewhere = any(fnmatch.fnmatch(name, pattern) for pattern in TESTED_ELSEWHERE)
    assert mirrored.exists() or elsewhere, f"{mirrored.relative_to(REPOSITORY)} for {name}"
