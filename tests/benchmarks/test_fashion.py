"""The table of FASHION.md is that of the recorded rows, and a row is what the files of a run say."""

import json
from pathlib import Path

from benchmarks.measuring import recorded

from benchmarks import fashion


def test_the_page_shows_the_recorded_rows() -> None:
    page = fashion.PAGE.read_text(encoding="utf-8")
    assert fashion.renewed(page, fashion.tables(recorded(fashion.ROWS), recorded(fashion.SMALL))) == page


def test_a_row_is_read_from_the_files_of_a_run(tmp_path: Path) -> None:
    results, logs = tmp_path / "results/fashion_unet_1", tmp_path / "logs/fashion_unet_1/train"
    results.mkdir(parents=True), logs.mkdir(parents=True)
    (results / "accuracy.csv").write_text("seed,accuracy\n0,0.80\n1,0.82\n2,0.84\n")
    (results / "fid.csv").write_text("step,fid,label_agreement,chosen_by\n10,9.0,0.5,\n20,7.25,0.75,fid\n")
    machine = {"device": "cpu (some processor)", "threads": "1"}
    (results / "samples.json").write_text(json.dumps({"images": 5000, "used_seconds": 31.6, "machine": machine}))
    for end, seconds in ((10, 40.2), (20, 41.0)):
        (logs / f"{end}.tsv").write_text(f"s\tcpu_time\n60\t{seconds}\n")
    found = fashion.row("fashion_unet_1", tmp_path)
    assert found == {
        "experiment": "fashion_unet_1", "iterations": 20, "seconds": 81, "images": 5000, "sampling_seconds": 32,
        "fid": 7.25, "agreement": 0.75, "accuracy": 0.82, "deviation": 0.02, "convnets": 3, "audit": None,
        "machine": "device cpu (some processor), threads 1",
    }  # fmt: skip
    (results / "audit.json").write_text(json.dumps({"verdict": "pass"}))
    audited = fashion.row("fashion_unet_1", tmp_path) | {"experiment": "fashion_unet_2"}
    small = [
        {"set": "generated", "per_class": 0, "architecture": "resnet18", "generator": "fashion_unet_2",
         "accuracies": [0.5, 0.25]},
        {"set": "real-random", "per_class": 10, "architecture": "convnet", "images": 100, "accuracies": [0.7, 0.72]},
        {"set": "real", "per_class": 0, "architecture": "convnet", "images": 56_000, "accuracies": [0.8, 0.84]},
        {"set": "real", "per_class": 0, "architecture": "convnet", "images": 56_000, "way": "plain", "accuracies": [1]},
    ]  # fmt: skip
    line, *curve = fashion.tables([found, audited], [{"data": "fashion", **one} for one in small]).splitlines()[2:]
    assert line == (
        "| U-Net, patches of 2x2 | ten minutes | yes | 20 | 81 | 5,000 | 7.2, 7.2 | 75.0, 75.0 % "
        "| 82.0 ± 2.0, 82.0 ± 2.0 % | 1.000, 1.000 | 3, 3 | 50.0 %, 25.0 % | -, pass |"
    )
    other = found | {"experiment": "fashion_unet4_hour_1", "machine": "device cpu, auto precision float32"}
    lines = fashion.tables([other, found], [{"data": "fashion", **one} for one in small]).splitlines()[2:4]
    assert [one.split(" | ")[:3] for one in lines] == [
        ["| U-Net, patches of 2x2", "ten minutes", "yes"], ["| U-Net, patches of 4x4", "an hour", "no"],
    ]  # fmt: skip
    assert curve[1:] == [
        "| real images per class | 10 | 5,600 |", "|---|---|---|", "| accuracy, % | 71.0 ± 1.4 (2) | 82.0 ± 2.8 (2) |",
    ]  # fmt: skip
