"""The machine-readable mark of a generated picture: IPTC's digital source type, as XMP inside the PNG."""

from collections.abc import Mapping

from PIL import PngImagePlugin

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's controlled vocabulary; the values below are terms of it."""
GENERATED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" \
xmlns:xmp="http://ns.adobe.com/xap/1.0/" Iptc4xmpExt:DigitalSourceType="{source_type}" \
xmp:CreatorTool="diffdistill"/></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


def source_type(metadata: Mapping[str, str]) -> str:
    """The address of the digital source type of a set's images, by the set's metadata.

    A set that was refined from real images, or that comes from elsewhere, may hold parts of real ones: composite.
    """
    from_real = metadata.get("derived_from", "").startswith("real") or metadata.get("made_by", "").startswith(
        "a finished set"
    )
    return VOCABULARY + (COMPOSITE if from_real else GENERATED)


def png_mark(of: str) -> PngImagePlugin.PngInfo:
    """The chunk of text that a PNG carries; of: what `source_type` gives."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", _XMP.format(source_type=of))
    return info
