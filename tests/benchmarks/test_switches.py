"""Sections of SWITCHES.md: rows that were not measured again keep the line on how they were measured."""

from benchmarks import switches

FIRST, SECOND = "| none | 1 | 10 | 70 % | 5 |", "| combined | 3 | 20 | 80 % | 9 |"
BOTH = {"none": FIRST, "combined": SECOND}


def test_rows_keep_the_machine_that_measured_them() -> None:
    page = switches.page("# Title\n", "digits", "On a.", BOTH)
    assert page == f"# Title\n\n## digits\n\nOn a.\n\n{switches.HEAD}{FIRST}\n{SECOND}\n"
    new = SECOND.replace("80", "90")
    again = switches.page(page, "digits", "On b.", {"combined": new})
    assert again == f"# Title\n\n## digits\n\nOn a.\n`combined`: On b.\n\n{switches.HEAD}{FIRST}\n{new}\n"
    assert switches.page(again, "digits", "On c.", {"combined": new}) == again.replace("On b.", "On c.")
    assert switches.page(again, "digits", "On b.", BOTH) == page.replace("On a.", "On b.")
