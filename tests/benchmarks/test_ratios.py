"""Sections of RESULTS.md: rows of other classes of processor stay."""

from benchmarks import ratios

OLD = "| one | two | AVX2 only | none | 2.00 | 1.00 to 3.00 |"
OWN = "| one | two | AVX-512 | none | 4.00 | 4.00 to 4.00 |"
NEW = "| one | two | AVX-512 | none | 5.00 | 5.00 to 5.00 |"


def test_a_run_replaces_rows_of_its_own_class_alone() -> None:
    last = ratios.section("", [OLD], "device a")
    both = ratios.section(last, [OWN], "device b")
    assert OLD in both and OWN in both
    assert "AVX2 only: on device a." in both and "AVX-512: on device b." in both
    again = ratios.section(both, [NEW], "device c")
    assert OLD in again and NEW in again and OWN not in again
    assert "AVX-512: on device c." in again and "device b" not in again


def test_every_recorded_row_has_a_class() -> None:
    lines = [line for line in ratios.RESULTS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| claim")]
    assert {line.split("|")[3].strip() for line in heads} == {"processor"}
    classes = {line.split("|")[3].strip() for line in lines if line not in heads}
    known = {"AVX2 only", "limited to AVX2", "AVX-512", "AVX-512 with bfloat16"}
    assert classes <= known | {name for name in classes if name.startswith("GPU")}
