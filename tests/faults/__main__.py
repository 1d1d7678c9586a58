"""Writes docs/faults.md."""

from tests.faults import catalogue

catalogue.PAGE.write_text(catalogue.page(), encoding="utf-8")
