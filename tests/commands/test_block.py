"""The text of a block: a reason stands beside each choice, and names of files survive."""

import dataclasses

import yaml

from diffdistill.commands import block, proposal


def choice(path: str, skip: tuple[str, ...] = (), iterations: int = 800, compile: bool = False) -> block.Choice:
    where = proposal.Shape(28, 1, 10, None, 20, 5_000)
    plan = proposal.Plan(
        64, iterations // 8, iterations // 8, iterations, compile, 100, proposal.protocol(where, False, False), 50,
        proposal.Costs(1, 60, 1, 10, 1, 1, 1),
    )  # fmt: skip
    return block.Choice(
        name="mine", path=path, skip=skip, where=where, model=proposal.ladder(28, 5_000)[-1], plan=plan, hours=1,
        budget=10, flip=False, mirror_ratio=1.9, machine="a laptop", common_size="28x28", nested="nested" in path,
    )  # fmt: skip


def test_names_of_files_survive() -> None:
    path, skip = 'my "pictures": 100%, #1', ("*.txt", "a/[[]1].png", "yes")
    source = yaml.safe_load(block.text(choice(path, skip)))["experiments"]["mine"]["source"]
    assert source["path"] == path and source["skip"] == list(skip)
    assert "validation_per_class" not in source and source["test_per_class"] == 20


def test_folders_at_the_top_are_classes_where_the_user_says_so() -> None:
    sources = [yaml.safe_load(block.text(choice(path)))["experiments"]["mine"]["source"] for path in ("set", "nested")]
    assert "splits" not in sources[0] and sources[1]["splits"] == {}


def test_words_that_yaml_would_read_as_values_stay_text() -> None:
    for path in ("yes", "null", "on", "No"):
        assert yaml.safe_load(block.text(choice(path)))["experiments"]["mine"]["source"]["path"] == path


def test_a_uvit_from_random_weights_is_trained_by_muon() -> None:
    small = choice("set")
    large = dataclasses.replace(small, model=proposal.ladder(28, 10**6)[-1])
    uvit = yaml.safe_load(block.text(large))["experiments"]["mine"]
    assert uvit["train"]["optimiser"] == "muon"
    assert (uvit["model"]["conditioning"], uvit["model"]["prediction"]) == ("adaptive", "v")
    assert "optimiser" not in yaml.safe_load(block.text(small))["experiments"]["mine"]["train"]


def test_a_long_training_on_a_cpu_is_compiled() -> None:
    plain, compiled = (
        yaml.safe_load(block.text(choice("set", compile=value)))["experiments"]["mine"]["train"]
        for value in (False, True)
    )
    assert "compile" not in plain and compiled == plain | {"compile": True}
    small, *_, uvit = proposal.ladder(28, 10**6)
    assert proposal.pays_to_compile(small, 1800) and not proposal.pays_to_compile(small, 1799)
    assert not proposal.pays_to_compile(uvit, 10**6)


def test_reasons_stand_beside_choices() -> None:
    text = block.text(choice("set", ("*.txt",)))
    for line in (
        "flip: false # mirrored pictures are less like",
        'skip: ["*.txt"] # ',
        "iterations: 800 # 1.0 min of 1 h",
    ):
        assert line in text
    assert block.flip_reason(True, 1.0).startswith("mirrored pictures are as near")
