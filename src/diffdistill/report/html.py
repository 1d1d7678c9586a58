"""What the pages are put together from: templates, pictures and tables, all inside the page."""

import base64
import struct
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from diffdistill.errors import UserError
from diffdistill.report import columns
from diffdistill.report.parts import CHART


def template(name: str) -> jinja2.Template:
    """A template of this package; it escapes what it is given and fails on names that it is not given."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("diffdistill", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(name)


def picture(path: Path, alt: str, caption: str) -> Markup:
    """A chart, inside the page. Raises UserError if it is missing or broken."""
    return image(path, alt, caption, CHART, "chart")


def image(path: Path, alt: str, caption: str, sharpness: float, kind: str) -> Markup:
    """A picture with its caption, inside the page; sharpness: its pixels per pixel of the page.

    Raises UserError if it is missing or broken.
    """
    try:
        data = path.read_bytes()
        sides = struct.unpack(">II", data[16:24])  # of every png; the page reserves the room before it is decoded
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the rule that makes it") from error
    except struct.error as error:
        raise UserError(f"{path}: not a whole png; delete it and run again") from error
    width, height = (round(side / sharpness) for side in sides)
    return Markup(
        '<figure><div class="{}"><img src="data:image/png;base64,{}" width="{}" height="{}" alt="{}"></div>'
        "<figcaption>{}</figcaption></figure>"
    ).format(kind, base64.b64encode(data).decode(), width, height, alt, caption)


def grid_of(title: str, table: pd.DataFrame) -> dict[str, Any]:
    """A table as the macro `grid` shows it."""
    text = columns.shown(table)
    sides = ["number" if number else "text" for number in columns.numeric(table)]
    return {
        "title": title,
        "columns": list(zip(text.columns, sides, strict=True)),
        "rows": [list(zip(row, sides, strict=True)) for row in text.to_numpy().tolist()],
    }
