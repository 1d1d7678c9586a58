"""`diffdistill init`: the block that it writes is understood, and wrong input is one line."""

from pathlib import Path

import pytest
import yaml

from diffdistill import config
from diffdistill.commands import init, run, timing
from diffdistill.commands.main import main
from diffdistill.errors import UserError

from .pictures import noise


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which a step takes a hundredth of a second, without measuring."""
    monkeypatch.setattr(timing, "denoiser_step", lambda *arguments: 0.01)
    monkeypatch.setattr(timing, "convnet_step", lambda *arguments: 0.01)
    monkeypatch.setattr(timing, "build", lambda *arguments: None)
    monkeypatch.setattr(timing, "largest_batch", lambda denoiser, wanted, device: wanted)
    monkeypatch.setattr(timing, "operations", lambda *arguments: 1)
    monkeypatch.setattr(timing, "compiles", lambda device: True)
    monkeypatch.chdir(tmp_path)


def test_the_block_is_a_config_that_fits_the_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = noise(noise(tmp_path / "My pictures (2)", "a", each=40), "b", each=10)
    (folder / "a/1.txt").write_text("words")
    assert main(["init", "My pictures (2)", "--hours", "1", "--budget", "60"]) == 0
    said = capsys.readouterr().out
    for part in (
        "50 pictures in 2 classes", "10 to 40 per class", "imbalance: 'a' has 4.0 times", "1 .txt", "network unet",
        "training the network", "in all", "diffdistill run --configfile mine.yaml",
    ):  # fmt: skip
        assert part in said
    parsed = config.parse(yaml.safe_load(Path("mine.yaml").read_text()))
    one = parsed.experiments["my-pictures-2"]
    assert parsed.targets == ("my-pictures-2",)
    assert one.source.path == "My pictures (2)" and one.source.skip == ("*.txt",) and one.source.size == 8
    assert one.train is not None and 20_000 < one.train.iterations <= 200_000 and one.train.compile is True
    assert one.fid is not None and one.fid.features == "classifier"
    assert one.sample is not None and one.sample.budget_seconds == 60


@pytest.mark.parametrize("model", [0, 5])
def test_every_network_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: int) -> None:
    monkeypatch.setattr(init.proposal, "MOST_RUNGS", ((10**9, model + 1),))
    monkeypatch.setattr(timing, "denoiser_step", lambda *arguments: 1e-3)
    noise(tmp_path / "set", "a", "b", each=5, side=32)
    assert main(["init", "set", "--hours", "24", "--name", "mine"]) == 0
    one = config.parse(yaml.safe_load(Path("mine.yaml").read_text())).experiments["mine"]
    assert one.model == init.proposal.ladder(32, 1)[-1]


def test_a_file_that_exists_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(tmp_path / "set", "a", "b")
    Path("mine.yaml").write_text("kept")
    assert main(["init", "set"]) == 2 and Path("mine.yaml").read_text() == "kept"
    assert capsys.readouterr().err == (
        "error: mine.yaml: exists already; give another --output, or --force to replace it\n"
    )
    assert main(["init", "set", "--force"]) == 0 and Path("mine.yaml").read_text() != "kept"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hours", "two"], "--hours two: a number above 0 is needed, such as 2"),
        (["--hours", "0"], "--hours 0: a number"),
        (["--hours", "nan"], "--hours nan: a number"),
        (["--hours=-1"], "--hours -1: a number"),
        (["--budget", "inf"], "--budget inf: a number above 0 is needed, such as 600"),
        (["--hours", "0.1"], "--budget 600 seconds is more than half of --hours 0.1"),
        (["--budget", "5"], "--budget 5: loading and warming up take seconds of it; give at least 15"),
        (["--name", "a/b"], "--name a/b: letters, digits"),
        (["--name", "yes"], "--name yes: letters"),
        (["--name", "raw"], "--name raw: the workflow uses this name itself"),
        (["--name", "digits"], "--name digits: the workflow's config.yaml has it, and would be mixed in"),
        (["--name", "demo"], "--name demo: the workflow's config.yaml has it"),
    ],
)
def test_wrong_arguments_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    noise(tmp_path / "set", "a", "b")
    assert main(["init", "set", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and not Path("mine.yaml").exists()
    assert error.count("\n") == 1


def test_wrong_folders_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise(tmp_path / "one", "a")
    for path in ("missing", "one"):
        assert main(["init", path]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data/set", "--name", "set"], "--name set: the workflow would write data/set among the pictures"),
        (["data"], "data: the workflow writes data/ into it; move the pictures"),
        (["."], ".: the workflow writes data/ into it; move the pictures"),
    ],
)
def test_nothing_is_proposed_that_writes_among_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    noise(tmp_path / "data/set", "a", "b")
    assert main(["init", *arguments]) == 2 and not Path("mine.yaml").exists()
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_names_follow_the_folder_and_keep_results_out_of_it(tmp_path: Path) -> None:
    assert init.name_for(Path("Tiny/../TinyImageNet.zip")) == "tinyimagenet-set"
    assert [init.name_for(Path(name)) for name in ("Flowers 17.tar.gz", "weights", "2024", "data/mine", "\u00e4")] == [
        "flowers-17", "weights-set", "set-2024", "mine-set", "images",
    ]  # fmt: skip


def test_names_that_are_taken_are_read_from_the_config_that_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = tmp_path / "site/diffdistill/_workflow"
    (workflow / "workflow").mkdir(parents=True)
    (workflow / "workflow/Snakefile").touch()
    monkeypatch.setattr(run, "PACKAGE", workflow.parent)
    block = "{source: {kind: folder, path: pics, validation_per_class: 1, test_per_class: 1}, dataset: plants, "
    block += "generator: {kind: samples, path: theirs}, evaluate: {protocol: {steps: 5}}}"
    (workflow / "config.yaml").write_text(
        f"{{reports: {{page: [roses]}}, targets: [page], experiments: {{roses: {block}}}}}"
    )
    assert [init.name_for(Path(name)) for name in ("roses", "plants", "page", "digits")] == [
        "roses-set", "plants-set", "page-set", "digits",
    ]  # fmt: skip
    (workflow / "config.yaml").write_text("{")
    with pytest.raises(UserError, match=r"_workflow/config\.yaml: cannot be read"):
        init.name_for(Path("roses"))
