"""The card's facts for machines: Croissant 1.1 (docs.mlcommons.org/croissant) with its RAI and PROV fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffdistill.data import marks
from diffdistill.report import diagnosis
from diffdistill.report.card import Licence, audit_of
from diffdistill.report.results import Experiment
from diffdistill.runtime import files

CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
"""Of the specification's appendix, and PROV."""
FORMATS = {
    ".parquet": "application/vnd.apache.parquet", ".zip": "application/zip", ".pt": "application/octet-stream",
}  # fmt: skip
CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]


def metadata(
    experiment: Experiment, exported: Sequence[Path], licence: Licence, despite: Sequence[str] = ()
) -> dict[str, Any]:
    """JSON-LD of the exported files. What only a publisher knows, such as creator and date, is left out."""
    distilled = experiment.distilled
    assert distilled is not None
    about = distilled.metadata
    made_by, origin = about.get("made_by", "not recorded"), about.get("source_checksum", "not recorded")
    audited = [paragraph for paragraph in audit_of(experiment.audit, despite) if not paragraph.startswith("|")]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"{experiment.name}, distilled",
        "description": f"{distilled.images:,} synthetic images of {len(distilled.classes)} classes. "
        + " ".join(diagnosis.size(experiment)),
        "license": f"of the real images: {licence}",
        "keywords": ["synthetic", "distillation", "image-classification"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path.name,
                "name": path.name,
                "contentUrl": path.name,
                "contentSize": f"{path.stat().st_size} B",
                "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
                "sha256": files.sha256(path),
            }
            for path in exported
        ],
        "recordSet": [_classes(distilled.classes)],
        "prov:wasDerivedFrom": {
            "@type": "prov:Entity",
            "prov:label": f"real images of the kind '{licence.source}', {experiment.real.images:,} in the train split",
            "prov:value": f"source checksum {origin}",
        },
        "prov:wasGeneratedBy": {"@type": "prov:Activity", "prov:label": made_by},
        "rai:dataCollection": f"Made of {about['derived_from']}, not collected: {made_by}."
        if "derived_from" in about
        else f"Generated, not collected: {made_by}.",
        "rai:dataCollectionType": ["Software Collection", marks.source_type(about)],
        "rai:dataAnnotationProtocol": "The label of an image is the one that it was generated for, or that the "
        "finished set came with.",
        "rai:dataUseCases": ["Training image classifiers in place of the real images."],
        "rai:dataLimitations": audited,
        "rai:dataBiases": ["The biases of the real images, and those of their generator, which draws rare looks less."],
        "rai:personalSensitiveInformation": [
            "As far as the real images show persons or their records, generated ones may resemble them. "
            + (audited[-1] if experiment.audit is not None else audited[0])
        ],
    }


def _classes(names: Sequence[str]) -> dict[str, Any]:
    """The labels in order, as a record set of its own."""
    fields = [("label", "sc:Integer", "Number of the class."), ("name", "sc:Text", "Its name.")]
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "The classes in the order of the labels.",
        "key": {"@id": "classes/label"},
        "field": [
            {"@type": "cr:Field", "@id": f"classes/{name}", "name": name, "description": about, "dataType": kind}
            for name, kind, about in fields
        ],
        "data": [{"classes/label": label, "classes/name": name} for label, name in enumerate(names)],
    }
