"""A picture says by IPTC's terms how it came about, and stays the same picture."""

import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from diffdistill.data import marks

RDF, IPTC = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}", "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"


@pytest.mark.parametrize(
    ("metadata", "term"),
    [
        ({"made_by": "diffdistill sample, step 5"}, "trainedAlgorithmicMedia"),
        ({"derived_from": "generated images, changed to match"}, "trainedAlgorithmicMedia"),
        ({"derived_from": "real images of the train split, changed"}, "compositeWithTrainedAlgorithmicMedia"),
        ({"made_by": "a finished set, theirs.zip"}, "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_the_mark_is_xmp_that_other_readers_parse(metadata: dict[str, str], term: str) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), 7).save(buffer, "PNG", pnginfo=marks.png_mark(marks.source_type(metadata)))
    picture = Image.open(buffer)
    (root,) = ElementTree.fromstring(picture.info["XML:com.adobe.xmp"].encode()).iter(f"{RDF}Description")
    assert root.get(f"{IPTC}DigitalSourceType") == f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"
    assert picture.getpixel((3, 3)) == 7
