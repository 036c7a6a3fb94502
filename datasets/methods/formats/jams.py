"""JAMS [1]_: a file a track, with one annotation a rater (her word) and one of the consensus.

References
----------
.. [1] E. J. Humphrey et al. JAMS: A JSON Annotated Music Specification for Reproducible MIR Research. ISMIR 2014.
"""

import json
from itertools import groupby

from datasets.methods.bundles import BundleWriter
from datasets.methods.formats import About, Contents, Row

VERSION = "0.3.4"  # of the schema


def write(contents: Contents, writer: BundleWriter) -> None:
    by_track = groupby(contents.ratings.rows(), key=lambda row: row["track_id"])
    track_id, ratings = next(by_track, (None, iter(())))
    for track in contents.tracks.rows():
        mine: list[Row] = []
        if track_id == track["track_id"]:  # both tables are in the order of their tracks
            mine = list(ratings)
            track_id, ratings = next(by_track, (None, iter(())))
        text = json.dumps(annotated(track, mine, contents.about), ensure_ascii=False, indent=1, sort_keys=True)
        writer.add_bytes(f"jams/{track['track_id']}.jams", text.encode())


def annotated(track: Row, ratings: list[Row], about: About) -> dict[str, object]:
    """One track as a JAMS document."""
    duration = track["duration_s"]
    annotations = [
        _annotation(
            "tag_open", [_said(str(row["word"] or row["label"]), duration)], duration, about, annotator=str(row["pseudonym"])
        )
        for row in ratings
    ]
    settled = [_said(str(track["label"]), duration, confidence=track["agreement"])]
    annotations.append(_annotation("tag_open", settled, duration, about, annotator="", method=about.rule))
    return {
        "annotations": annotations,
        "file_metadata": {
            "title": track["title"], "artist": track["artist"], "release": "", "duration": duration, "jams_version": VERSION,
            "identifiers": {"track_id": str(track["track_id"]), "external_id": track["external_id"], "sha256": track["sha256"]},
        },
        "sandbox": {"part": track["part"], "source_url": track["source_url"]},
    }  # fmt: skip


def _said(word: str, duration: object, confidence: object = None) -> dict[str, object]:
    return {"time": 0.0, "duration": duration, "value": word, "confidence": confidence}


def _annotation(
    namespace: str, data: list[dict[str, object]], duration: object, about: About, *, annotator: str, method: str = ""
) -> dict[str, object]:
    return {
        "namespace": namespace,
        "data": data,
        "time": 0.0,
        "duration": duration,
        "annotation_metadata": {
            "annotator": {"id": annotator} if annotator else {},
            "corpus": about.name,
            "version": about.content_hash[:16],
            "curator": {"name": "; ".join(about.authors), "email": ""},
            "data_source": "human raters" if annotator else "consensus of the raters",
            "annotation_rules": method,
            "annotation_tools": "MER Studio",
            "validation": "",
        },
        "sandbox": {},
    }
