"""Croissant [1]_ metadata with its responsible-AI fields: what a machine needs to load the tables, and what a person should know.

References
----------
.. [1] MLCommons. Croissant format specification 1.0, and its RAI extension 1.0. docs.mlcommons.org/croissant.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from datasets.methods.bundles import BundleWriter
from datasets.methods.formats import About, Contents, Table
from datasets.methods.formats.datasheet import collected
from datasets.methods.formats.tables import write_csv

TYPES = {str: "sc:Text", int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean", datetime: "sc:DateTime"}
# The specification's own context, which every file must carry.
CONTEXT: dict[str, object] = {
    "@language": "en", "@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "sc": "https://schema.org/", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in (
        "citeAs", "column", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes", "isLiveDataset", "jsonPath",
        "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "separator", "source", "subField",
        "transform",
    )},
}  # fmt: skip


def write(contents: Contents, writer: BundleWriter) -> None:
    write_csv(contents, writer)
    document = metadata(contents, {table.name: writer.sum_of(f"{table.name}.csv") for table in contents.tables})
    writer.add_bytes("croissant.json", json.dumps(document, ensure_ascii=False, indent=1).encode())


def metadata(contents: Contents, sha256: Mapping[str, str]) -> dict[str, object]:
    """The JSON-LD document; sha256 : of each table's CSV file."""
    about = contents.about
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": about.name,
        "description": about.description or f"Music labelled by emotion: the frozen release {about.name} of {about.dataset}.",
        "version": "1.0.0",
        "datePublished": about.frozen_on,
        "license": about.licence or "Not stated: ask the authors.",
        "url": f"urn:sha256:{about.content_hash}",
        "creator": [{"@type": "sc:Person", "name": name} for name in about.authors or ["Not stated"]],
        "citeAs": f"{'; '.join(about.authors) or 'Not stated'}. {about.name}. {about.frozen_on[:4]}. SHA-256 {about.content_hash[:16]}.",
        "isLiveDataset": False,
        **_rai(about),
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": f"{table.name}.csv", "name": f"{table.name}.csv", "contentUrl": f"{table.name}.csv",
                "encodingFormat": "text/csv", "sha256": sha256[table.name],
            }
            for table in contents.tables
        ],
        "recordSet": [_records(table) for table in contents.tables],
    }  # fmt: skip


def _records(table: Table) -> dict[str, object]:
    fields = [
        {
            "@type": "cr:Field", "@id": f"{table.name}/{column}", "name": column, "description": meaning, "dataType": TYPES[kind],
            "source": {"fileObject": {"@id": f"{table.name}.csv"}, "extract": {"column": column}},
        }
        for column, (kind, meaning) in table.columns.items()
    ]  # fmt: skip
    return {"@type": "cr:RecordSet", "@id": table.name, "name": table.name, "field": fields}


def _rai(about: About) -> dict[str, object]:
    alpha = about.reliability.get("alpha")
    simulated = "Synthetic: composed by a generator, rated by simulated raters. " if about.synthetic else ""
    return {
        "rai:dataCollection": f"{simulated}Recordings brought in by curators of “{about.dataset}”; labels from a questionnaire.",
        "rai:dataCollectionType": ["Manual Human Curation", "Surveys"],
        "rai:dataAnnotationProtocol": f"{collected(about)} {about.rule}.",
        "rai:dataAnnotationPlatform": [
            "elsewhere, brought into MER Studio" if about.n_ratings and about.n_elsewhere == about.n_ratings else "MER Studio"
        ],
        "rai:dataAnnotationAnalysis": [
            f"Krippendorff's alpha {alpha:.3f}" if isinstance(alpha, float) else "Krippendorff's alpha is not defined here",
            "Every rater's vote is in ratings.csv; vote shares are in tracks.csv.",
        ],
        "rai:annotationsPerItem": f"{about.n_ratings / about.n_tracks:.2f} on average" if about.n_tracks else "0",
        "rai:annotatorDemographics": [f"{about.n_raters} raters under pseudonyms; no demographics are released"],
        "rai:dataLimitations": [
            "Music-emotion ratings agree little; a rule on the share of the modal label keeps many tracks by chance.",
            f"{len(about.left_out)} tracks were left out; left_out.csv names each with its reason.",
        ],
        "rai:dataBiases": ["Labels hold for the raters asked: culture, age and familiarity change what is heard."],
        "rai:personalSensitiveInformation": ["None: raters are pseudonymous."],
        "rai:dataUseCases": ["Training and evaluation of music emotion recognition"],
        "rai:dataReleaseMaintenancePlan": "A release is never edited; corrections are a new release with its difference to this one.",
    }
