"""What another studio needs beside the tables to hold the same release: `record.json`, in every bundle whose tables are verbatim.

`datasets.services.arrivals` brings such a bundle in; what it is exported as from there is the same, byte for byte.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from datasets.methods.bundles import BundleReader, BundleRefused, BundleWriter
from datasets.methods.formats import Contents

NAME = "record.json"
LARGEST = 64 * 1024**2  # bytes: it lists every track that was left out


def _object(required: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "object", "required": sorted(required), "properties": required | others}


def _list(of: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "array", "items": of} | others


TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 2**62}, {"type": "number"}
MAYBE = {"type": ["number", "null"]}
PLACE = {"type": "number", "minimum": -1, "maximum": 1}
RATERS = {"type": "integer", "minimum": 0, "maximum": 50}
NAMES = {"type": "object", "additionalProperties": TEXT}
KEY = {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$", "maxLength": 30}
WORD = _object({"key": KEY, "name": TEXT, "translations": NAMES, "valence": PLACE, "arousal": PLACE})
LABEL = _object({"key": KEY, "name": TEXT, "translations": NAMES, "colour": TEXT, "words": _list(WORD, maxItems=200)})
STEP = _object({"name": TEXT, "n": WHOLE})
CLUE = _object({"name": TEXT, "n": WHOLE, "accuracy": MAYBE, "by_chance": MAYBE, "p": MAYBE})
RELIABILITY = {
    "type": "object",
    "properties": {
        "funnel": _list(STEP), "n_ratings": WHOLE, "n_raters": WHOLE, "per_label": {"type": "object", "additionalProperties": WHOLE},
        "n_split": WHOLE, "n_open": WHOLE, "n_elsewhere": WHOLE, "alpha": MAYBE, "alpha_low": MAYBE, "alpha_high": MAYBE, "acceptance": MAYBE,
        "chance_acceptance": MAYBE, "rule": TEXT,
        "histogram": _list(_object({"agreement": NUMBER, "n": WHOLE, "accepted": {"type": "boolean"}, "height": NUMBER})),
    },
    "additionalProperties": False,
}  # fmt: skip
SCHEMA = _object(
    {
        "dataset": _object({"name": {"type": "string", "minLength": 1}, "description": TEXT, "synthetic": {"type": "boolean"}}),
        "labels": _list(LABEL, minItems=1, maxItems=50),
        "release": _object(
            {
                "name": {"type": "string", "pattern": "^[-a-zA-Z0-9_]{1,60}$"}, "rule": TEXT, "description": TEXT, "licence": TEXT,
                "content_hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"}, "frozen_at": TEXT, "authors": _list(TEXT),
                "labels": _list(KEY, minItems=1, uniqueItems=True), "funnel": _list(STEP), "reliability": RELIABILITY,
                "left_out": _list(_object({"track": WHOLE, "title": TEXT, "reason": TEXT})),
                "leakage": {
                    "type": "object",
                    "properties": {"groups_in_two_parts": _list(TEXT), "groups_in_two_folds": _list(TEXT), "groups_over_releases": _list(TEXT), "moved": _list(WHOLE), "clues": _list(CLUE)},
                    "additionalProperties": False,
                },
            },
            hash_version={"enum": [1, 2]},
            rule_values={
                "type": "object",
                "properties": {
                    "raters_per_track": RATERS, "fewest_raters": RATERS, "threshold": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
                    "ask_more_when_split": {"type": "boolean"}, "unanimous_at": RATERS,
                },
                "additionalProperties": False,
            },
        ),
        "splits": _list(
            _object({"name": TEXT, "seed": WHOLE, "parts": {"type": "object", "additionalProperties": NUMBER}}), minItems=1, maxItems=100
        ),
    },
    errata=_list(_object({"text": {"type": "string", "minLength": 1, "maxLength": 10_000}, "at": TEXT})),
)  # fmt: skip


def read(bundle: BundleReader) -> dict[str, Any]:
    """Raises BundleRefused, in words, for a record that is not there or says what no release says."""
    import jsonschema

    if NAME not in bundle.names:
        raise BundleRefused(f"The bundle holds no {NAME}: export the release as “studio” where it was frozen, and bring in that.")
    with bundle.open(NAME) as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise BundleRefused(f"{NAME} has more than {LARGEST // 1024**2} MB.")
    try:
        found = json.loads(text, parse_constant=_no_number)
        texts = text.decode()
    except (ValueError, RecursionError):
        raise BundleRefused(f"{NAME} is no JSON text.") from None
    if "\\u0000" in texts or any(f"\\ud{letter}" in texts.lower() for letter in "89abcdef"):
        raise BundleRefused(f"{NAME} holds characters that are none.")
    try:
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(found))
    except RecursionError:
        raise BundleRefused(f"{NAME} is nested too deep.") from None
    if error is not None:
        raise BundleRefused(f"{NAME}, {error.json_path}: {error.message[:200]}")
    found["release"].setdefault("hash_version", 1)  # of bundles from before there were two
    found["release"].setdefault("rule_values", {})
    found.setdefault("errata", [])
    for moment in (found["release"]["frozen_at"], *(erratum["at"] for erratum in found["errata"])):
        _check_moment(moment)
    if list(found["release"]["labels"]) != [label["key"] for label in found["labels"]]:
        raise BundleRefused(f"{NAME}: the labels of the release are not those of its dataset.")
    if len({split["name"] for split in found["splits"]}) < len(found["splits"]):
        raise BundleRefused(f"{NAME} names a split twice.")
    return dict(found)


def _check_moment(text: str) -> None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or not datetime(1990, 1, 1, tzinfo=UTC) < moment < datetime.now(UTC) + timedelta(days=1):
            raise ValueError
    except (ValueError, OverflowError):
        raise BundleRefused(f"{NAME}: “{text[:60]}” is no moment at which anything can have been said of a release.") from None


def _no_number(text: str) -> float:
    raise ValueError(text)


def write(contents: Contents, writer: BundleWriter) -> None:
    text = json.dumps(contents.record, ensure_ascii=False, sort_keys=True, indent=1)
    writer.add_bytes(NAME, text.encode() + b"\n")
