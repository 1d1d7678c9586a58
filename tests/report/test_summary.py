from tests.report.conftest import FINISHED, Make


def test_the_summary_names_every_seed_both_baselines_sizes_and_the_page(make: Make) -> None:
    project = make(small={})
    project.show()
    summary = (project.folder / "summary.txt").read_text()
    assert [line.split("  (")[0].split()[-3:] for line in summary.splitlines()[1:4]] == [
        ["0.4500", "±", "0.0100"], ["0.8100", "±", "0.0000"], ["0.9000", "±", "0.0000"],
    ]  # fmt: skip
    assert "(9 images, 1.50x the real ones, 576 B)" in summary
    assert "by seed: 0: 0.4400, 1: 0.4500, 2: 0.4600" in summary and "relative accuracy: 0.5000" in summary
    assert "limits the time for sampling, not the number of images" in summary
    assert summary.endswith(f"report: {project.page}\n")


def test_a_finished_set_and_one_without_an_accuracy(make: Make) -> None:
    project = make(theirs={"kinds": FINISHED}, bare={"kinds": ("real", "samples")})
    project.show()
    summary = (project.folder / "summary.txt").read_text()
    assert "bare: not evaluated\n  The set has 9 images, 1.50 times as many as the 6 real train images" in summary
    assert "limits the time" not in summary
