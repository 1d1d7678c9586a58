"""A folder of diffusers generates for the classes of the real data; code in it is not run."""

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from diffdistill.config.generator import PipelineGenerator
from diffdistill.data.sets import RealSet
from diffdistill.errors import UserError
from diffdistill.generators import pipeline
from tests.generators.making import save_dit

REAL = RealSet(["ant", "bee"], (1, 4, 4), published_order=["bee", "ant"])
CPU = torch.device("cpu")


def load(folder: Path, **keys: Any) -> pipeline.DiffusersGenerator:
    block = PipelineGenerator.model_validate({"kind": "pipeline", "path": str(folder), "steps": 2, **keys})
    return pipeline.load(block, REAL, seed=0, device=CPU)


@pytest.fixture(scope="module")
def dit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class-conditional pipeline of random weights, for images of 8x8."""
    return save_dit(tmp_path_factory.mktemp("dit"))


def test_class_numbers(dit: Path) -> None:
    made = load(dit, classes=["wasp", "Ant", "bee"], guidance=1.5)
    labels = torch.tensor([0, 1, 1])
    images = made.generate(3, labels)
    assert images.dtype == torch.uint8 and images.shape == (3, 1, 4, 4) and len(images.unique()) > 1
    alone = made.generate(4, labels[1:2])
    assert int((images[1:2].int() - alone.int()).abs().max()) <= 1  # image i from seed and i alone
    assert not torch.equal(images[1], images[2])
    described = made.describe(6)
    assert described["pipeline"] == "DiTPipeline" and described["steps"] == 2 and described["guidance"] == 1.5
    assert described["bytes"] > described["parameters"] > 0 and json.dumps(described)


def test_which_class_a_number_is(dit: Path) -> None:
    by_source = load(dit, classes="as_source")
    assert by_source._conditions == [1, 0]
    for keys, said in (
        ({"classes": ["ant", "wasp"]}, "has no class 'bee', .* 1 of 2 are missing"),
        ({"prompts": {"ant": "an ant", "bee": "a bee"}}, "prompts have no meaning"),
        ({}, "does not name its classes|has no class"),
    ):
        with pytest.raises(UserError, match=said):
            load(dit, **keys)


def test_the_folders_own_names(dit: Path, tmp_path: Path) -> None:
    shutil.copytree(dit, tmp_path / "named")
    index = tmp_path / "named/model_index.json"
    content = json.loads(index.read_text())

    def name(*names: str) -> None:
        index.write_text(json.dumps(content | {"id2label": dict(enumerate(names))}))

    name("wasp", "bee", "Ant, pismire")
    assert load(tmp_path / "named")._conditions == [2, 1]
    name("ant", "bee", "ant")  # as ImageNet has two classes called crane
    with pytest.raises(UserError, match="has no class 'ant', or several so named"):
        load(tmp_path / "named")
    assert load(tmp_path / "named", classes=["ant", "bee", "another ant"])._conditions == [0, 1]


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("DDPMScheduler", True),
        ("EulerAncestralDiscreteScheduler", True),
        ("DDIMScheduler", False),
        ("DPMSolverMultistepScheduler", False),
        ("EulerDiscreteScheduler", False),
    ],
)
def test_a_scheduler_whose_noise_no_seed_reaches_is_refused(
    name: str, refused: bool, dit: Path, tmp_path: Path
) -> None:
    import diffusers

    made = diffusers.DiTPipeline.from_pretrained(dit)
    made.scheduler = getattr(diffusers, name).from_config(made.scheduler.config)
    made.save_pretrained(tmp_path)
    if not refused:
        assert load(tmp_path, classes="as_source").num_classes == 2
        return
    with pytest.raises(UserError, match=f"its {name} adds noise .* such as diffusers' DDIMScheduler"):
        load(tmp_path, classes="as_source")


@pytest.mark.parametrize("classes", [("a", "B", "A", "b"), "as_source"])
def test_names_that_differ_only_in_case(classes: tuple[str, ...] | str) -> None:
    real = RealSet(["A", "B", "a", "b"], (1, 4, 4), published_order=["a", "B", "A", "b"])
    block = PipelineGenerator.model_validate({"kind": "pipeline", "path": "x", "classes": classes})
    assert pipeline._numbers(block, None, real) == [2, 1, 0, 3]


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("A", "B", "a", "b "), "has no class 'b', or several so named"),
        (("A", "B", "b"), "'A' and 'a' are both its class 0"),
        (("A", "B", "A", "a", "b"), "has no class 'A', or several so named"),
    ],
)
def test_names_that_are_not_told_apart(classes: tuple[str, ...], said: str) -> None:
    block = PipelineGenerator(kind="pipeline", path="x", classes=classes)
    with pytest.raises(UserError, match=said):
        pipeline._numbers(block, None, RealSet(["A", "B", "a", "b"], (1, 4, 4)))


def test_prompts_are_one_per_class() -> None:
    class Pictures:
        def __init__(self) -> None:
            self.images, self.nsfw_content_detected = [[[[0.0, 0.5, 1.0]] * 4] * 4] * 2, [True, False]

    class Text:
        components: ClassVar[dict[str, Any]] = {}

        def __call__(self, prompt: list[str], **options: Any) -> Pictures:
            self.prompt, self.options = prompt, options
            return Pictures()

    block = PipelineGenerator(kind="pipeline", path="x", prompts={"bee": "a bee", "ant": "an ant"})
    text = Text()
    made = pipeline.DiffusersGenerator(text, pipeline._prompts(block, REAL), block, REAL, seed=0)
    assert made.generate(0, torch.tensor([1, 0])).shape == (2, 1, 4, 4)
    assert text.prompt == ["a bee", "an ant"] and text.options["num_inference_steps"] == 50
    assert len(text.options["generator"]) == 2
    for first in (0, 2, 0):  # the one that warms up comes again; the last two are too late for a set of two
        made.generate(first, torch.tensor([1, 0]))
    assert [made.describe(images)["blanked_by_safety_checker"] for images in (4, 2)] == [2, 1]
    for prompts, said in (
        ({"ant": "an ant"}, "no prompt for class 'bee'"),
        ({"ant": "", "bee": "", "cat": ""}, "a prompt for 'cat', which is no class"),
        (None, "no prompt for class 'ant'"),
    ):
        with pytest.raises(UserError, match=said):
            pipeline._prompts(block.changed(prompts=prompts), REAL)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (None, "has no model_index.json"),
        ("[]", "code of its own"),
        ('{"_class_name": ["pipeline", "Mine"]}', "code of its own"),
        ('{"_class_name": "DiTPipeline", "vae": ["evil", "Vae"]}', "'vae' comes from 'evil', which is not run"),
    ],
)
def test_code_in_the_folder_is_not_run(index: str | None, said: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("raise SystemExit('it ran')\n")
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(UserError, match=said):
        load(tmp_path)


def test_weights_that_are_pickles_are_not_loaded(dit: Path, tmp_path: Path) -> None:
    shutil.copytree(dit, tmp_path / "copy")
    weights = next((tmp_path / "copy/transformer").glob("*.safetensors"))
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(UserError, match="cannot be loaded as a pipeline of diffusers"):
        load(tmp_path / "copy", classes=["ant", "bee"])
