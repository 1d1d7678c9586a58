"""What the page claims about a run follows the files that the run wrote, and not today's config."""

import json
import re
from typing import Any

from diffdistill.data import image_files
from tests.report.conftest import UVIT, Make, Project


def said(project: Project) -> str:
    """The page without its pictures."""
    return re.sub(r'src="data:[^"]*"', "", project.show())


CLAIMS: dict[str, tuple[dict[str, str], list[str]]] = {
    "accuracy": (
        {",0.44": ",0.33", ",0.45": ",0.33", ",0.46": ",0.33", ",9,0,": ",9,17,"},
        ["0.3300 ± 0.0000", "0.3300 (seed 17)"],
    ),
    "baselines": ({",0.9,": ",0.6,"}, ["75.0%", "0.6000 ± 0.0000"]),
    "account": (
        {
            '"used_seconds": 10.0': '"used_seconds": 7.5', '"budget_seconds": 10.5': '"budget_seconds": 12.5',
            '"images": 4000': '"images": 4321', '"images_per_second": 400.0': '"images_per_second": 433.3',
            '"nfe": 20,': '"nfe": 33,', '"start_share": 0.125': '"start_share": 0.375',
            '"images_discarded_late": 0': '"images_discarded_late": 61', '"batch_size": 64': '"batch_size": 48',
            '"device": "cpu"': '"device": "cuda (some card)"', '"torch": "9.9.9"': '"torch": "8.8.8"',
            '"sample": 8.5': '"sample": 6.25', '"seed": 7': '"seed": 7123', '"step": 20': '"step": 4120',
            "dpmsolver++": "unipc", '"bytes": 177000000': '"bytes": 188000000',
        },
        [
            "made in 7.5 s", "7.5 s of 12.5 s (60.0%)", "4,321 images", "433.3 per second", "61 more came too late",
            "33 network evaluations per image", "37.5% of the time had passed", "0.3750", "batches of up to 48",
            "cuda (some card)", "8.8.8", "6.25 s", "7123", "4,120", "algorithm unipc", "generator takes 188.0 MB",
        ],
    ),
    "fid": ({",3.125,": ",2.25,", ",500,": ",625,", "44257536": "33257536"}, ["2.25", "625 images", "33.3M"]),
    "loss": ({",16\n": ",4\n", ",32": ",4"}, ["2.0 min"]),
    "audit": (
        {'"value": 0.515': '"value": 0.6183', '"generated": 4000': '"generated": 3456'},
        ["0.6183", "3,456 generated images"],
    ),
}  # fmt: skip
"""By file: what is replaced in it, and what the page then says and did not say before."""


def test_the_page_follows_every_value_of_the_files(make: Make) -> None:
    project = make(small={})
    before = said(project)
    for kind, (changes, claims) in CLAIMS.items():
        path = project.file("small", kind)
        text = changed = path.read_text()
        for old, new in changes.items():
            assert old in changed, (kind, old)
            changed = changed.replace(old, new)
        path.write_text(changed)
        after = said(project)
        path.write_text(text)
        for claim in claims:
            assert claim in after and claim not in before, (kind, claim)


def test_the_page_counts_the_images_that_there_are(make: Make) -> None:
    project = make(small={})
    assert "9 images" in said(project)
    path = project.file("small", "distilled")
    data = image_files.load(path)
    image_files.save(path, data.images[:7], data.labels[:7], data.metadata)
    assert "7 images" in said(project) and "9 images" not in said(project)


def test_no_claim_follows_todays_config(make: Make) -> None:
    """Where the files record their settings, a config that changed everything since changes two parts of the page."""
    project = make(small={})
    path, metadata = project.file("small", "account"), {"train": {"batch_size": 16, "seed": 3}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": UVIT}))
    for kind in ("samples", "distilled"):
        data = image_files.load(project.file("small", kind))
        more = {"trained_by": json.dumps(metadata)}
        image_files.save(project.file("small", kind), data.images, data.labels, data.metadata | more)

    def claims() -> str:
        page = re.sub(r"<p>The config has changed since.*?</table></div>\s*", "", said(project), flags=re.DOTALL)
        return re.sub("<summary>Config when this page was made.*?</details>", "", page, flags=re.DOTALL)

    before = claims()
    settings = project.report.experiments["small"].settings
    changed: dict[str, Any] = {
        "train": {"batch_size": 4096, "seed": 4097},
        "model": {**UVIT, "embed_dim": 4098},
        "evaluate": {"seeds": [4099], "protocol": {"width": 5000}},
        "select": {"method": "random", "seed": 5001},
        "sample": {"seed": 5002, "budget_seconds": 5003, "solver": {"nfe": 5004}},
    }
    settings.update(changed)
    assert claims() == before
    assert "4098" in said(project)  # among what has changed
