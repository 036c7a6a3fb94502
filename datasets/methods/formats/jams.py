"""JAMS [1]_: a file a track, with an annotation of each rater's word, one of her point in the plane of valence and arousal where she
set it (`mood_thayer`), and one of the consensus. How sure she was (1 guessing, 2 fairly sure, 3 certain) is the word's confidence.

References
----------
.. [1] E. J. Humphrey et al. JAMS: A JSON Annotated Music Specification for Reproducible MIR Research. ISMIR 2014.
"""

import json
from collections.abc import Iterator
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
    annotations = [annotation for row in ratings for annotation in _of_rater(row, duration, about)]
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


def _of_rater(row: Row, duration: object, about: About) -> Iterator[dict[str, object]]:
    rater, word = str(row["pseudonym"]), _said(str(row["word"] or row["label"]), duration, confidence=row["confidence"])
    beside = {name: row[name] for name in ("known", "vocals") if row[name] is not None}
    yield _annotation("tag_open", [word], duration, about, annotator=rater) | {"sandbox": beside}
    if row["valence"] is not None and row["arousal"] is not None:
        point = _said([row["valence"], row["arousal"]], duration)
        yield _annotation("mood_thayer", [point], duration, about, annotator=rater)


def _said(value: str | list[object], duration: object, confidence: object = None) -> dict[str, object]:
    return {"time": 0.0, "duration": duration, "value": value, "confidence": confidence}


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
