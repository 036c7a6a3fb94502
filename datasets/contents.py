"""A release as the plain values that its exports are written from. Tables are read in pieces: memory does not grow with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from django.db.models import Count, QuerySet

from datasets import selectors
from datasets.methods.formats import About, Contents, Kind, Recording, Row, Table
from datasets.methods.licences import may_be_passed_on
from datasets.models import FOLDS, AudioFile, Release, ReleaseItem, SplitMember

RECORDED = (
    "name", "rule", "labels", "funnel", "left_out", "reliability", "leakage", "description", "licence", "authors", "content_hash",
    "hash_version", "rule_values",
)  # fmt: skip
TRACKS: dict[str, tuple[Kind, str]] = {
    "track_id": (int, "Number of the track in its studio"),
    "title": (str, "Title"),
    "artist": (str, "Artist, as far as known"),
    "licence": (str, "Licence of the recording; empty where none is recorded"),
    "source_url": (str, "Where the recording comes from"),
    "external_id": (str, "Its id there"),
    "sha256": (str, "SHA-256 of the original file"),
    "duration_s": (float, "Length of what was rated, in seconds"),
    "start_s": (float, "Where in the original that begins; empty: at its beginning"),
    "end_s": (float, "Where in the original that ends; empty: at its end"),
    "label": (str, "The consensus of the raters, or a curator's ruling"),
    "agreement": (float, "Share of the most frequent label among the ratings"),
    "is_ruled": (bool, "A curator settled the label, because the raters did not agree"),
    "part": (str, "Part of the hold-out split: train, validation or test"),
}
RATINGS: dict[str, tuple[Kind, str]] = {
    "track_id": (int, "Number of the track in its studio"),
    "pseudonym": (str, "The rater, without the person"),
    "word": (str, "The word that the rater chose"),
    "label": (str, "The label that the word belongs to"),
    "valence": (float, "The point in the plane, if one was set: unpleasant (-1) to pleasant (1)"),
    "arousal": (float, "The same: calm (-1) to excited (1)"),
    "confidence": (int, "How sure the rater was: 1 guessing, 2 fairly sure, 3 certain; empty: not said"),
    "known": (bool, "The rater knew the piece; empty: not asked"),
    "vocals": (bool, "The rater heard a voice; empty: not asked"),
    "rated_at": (datetime, "When"),
}
SPLITS: dict[str, tuple[Kind, str]] = {
    "split": (str, "Name of the split"),
    "track_id": (int, "Number of the track in its studio"),
    "part": (str, "The part or fold that the track is in"),
}


def of(release: Release) -> Contents:
    columns = dict(TRACKS)
    for label in release.labels:
        columns[f"votes_{label}"] = (int, f"Ratings that chose {label}")
    for label in release.labels:
        columns[f"share_{label}"] = (float, f"Their share: the soft label for {label}")
    return Contents(
        about=_about(release),
        tracks=Table("tracks", columns, lambda: _tracks(release)),
        ratings=Table("ratings", RATINGS, lambda: _ratings(release)),
        splits=Table("splits", SPLITS, lambda: _splits(release)),
        recordings=lambda: _recordings(release),
        record=_record(release),
    )


def digest(contents: Contents) -> str:
    """Of everything beside the frozen tables that a bundle is written from, and of what writes it: bundles are the same where it is."""
    found = hashlib.sha256(json.dumps([asdict(contents.about), contents.record], sort_keys=True).encode())
    here = Path(__file__).parent
    for code in sorted([*here.glob("*.py"), *here.glob("methods/**/*.py")]):
        found.update(code.read_bytes())
    found.update(version("pyarrow").encode())
    return found.hexdigest()


def _record(release: Release) -> dict[str, object]:
    """What another studio needs beside the tables to hold the same release (`services.arrivals` reads it)."""
    labels = release.dataset.labels.prefetch_related("words")
    names = ("key", "name", "translations")
    return {
        "dataset": {name: getattr(release.dataset, name) for name in ("name", "description", "synthetic")},
        "labels": [
            {name: getattr(label, name) for name in (*names, "colour")}
            | {"words": [{name: getattr(word, name) for name in (*names, "valence", "arousal")} for word in label.words.all()]}
            for label in labels
        ],
        "release": {name: getattr(release, name) for name in RECORDED} | {"frozen_at": release.frozen_at.isoformat()},
        "splits": list(release.splits.order_by("id").values("name", "seed", "parts")),
        "errata": _errata(release),
    }


def _errata(release: Release) -> list[dict[str, str]]:
    return [{"text": text, "at": at.isoformat()} for text, at in release.errata.values_list("text", "at")]


def _tracks(release: Release) -> Iterator[Row]:
    first = release.splits.order_by("id").first()
    parts = dict(SplitMember.objects.filter(split=first).values_list("item_id", "part"))
    for item in selectors.items_in_order(release):
        row: dict[str, object] = {"track_id": item.number}
        row |= {name: getattr(item, name) for name in TRACKS if name not in ("track_id", "part")}
        row["part"] = parts.get(item.pk, "")
        n = sum(item.votes.values())
        row |= {f"votes_{label}": item.votes.get(label, 0) for label in release.labels}
        row |= {f"share_{label}": round(item.votes.get(label, 0) / n, 6) if n else 0.0 for label in release.labels}
        yield row


def _ratings(release: Release) -> Iterator[Row]:
    for row in selectors.ratings_in_order(release):
        yield {"track_id": row.pop("number"), **row}


def _splits(release: Release) -> Iterator[Row]:
    for split in release.splits.order_by("id"):
        for piece in selectors.pieces(release):
            members = split.members.filter(item__number__range=piece, item__release=release).order_by("item__number")
            for number, part in members.values_list("item__number", "part"):
                yield {"split": split.name, "track_id": number, "part": part}


def _allowed(release: Release) -> QuerySet[ReleaseItem]:
    """Those whose originals may be passed on."""
    licences = release.items.values_list("licence", flat=True).order_by("licence").distinct()
    return release.items.filter(licence__in=[licence for licence in licences if may_be_passed_on(licence)])


def _originals(release: Release) -> Iterator[tuple[int, AudioFile]]:
    for piece in selectors.pieces(release):
        number = dict(_allowed(release).filter(number__range=piece).values_list("track_id", "number"))
        files = list(AudioFile.objects.filter(kind=AudioFile.Kind.ORIGINAL, track__in=number))
        for file in sorted(files, key=lambda file: number[file.track_id]):
            yield number[file.track_id], file


def _recordings(release: Release) -> Iterator[Recording]:
    for number, audio_file in _originals(release):
        suffix = str(audio_file.file.name).rpartition(".")[2]
        yield Recording(number, suffix, partial(audio_file.file.open, "rb"))


def _about(release: Release) -> About:
    first = release.splits.order_by("id").first()
    members = SplitMember.objects.filter(split=first).values_list("part").annotate(n=Count("pk"))
    labels = dict(release.items.values_list("label").annotate(n=Count("pk")))
    return About(
        name=release.name, dataset=release.dataset.name, description=release.description or release.dataset.description,
        synthetic=release.dataset.synthetic, rule=release.rule, labels=list(release.labels), licence=release.licence,
        authors=list(release.authors), frozen_on=f"{release.frozen_at:%Y-%m-%d}", content_hash=release.content_hash,
        seed=first.seed if first else None, split=first.name if first else "",
        leakage=dict(release.leakage), errata=_errata(release), funnel=list(release.funnel), reliability=dict(release.reliability),
        left_out=list(release.left_out), n_tracks=release.items.count(), n_ratings=release.ratings.count(),
        n_raters=release.ratings.values("pseudonym").distinct().count(),
        n_artists=release.items.exclude(artist="").values("artist").distinct().count(),
        n_recordings=_allowed(release).count(), label_counts={label: labels.get(label, 0) for label in release.labels},
        part_counts=dict(members), folds={name: list(parts.values()) for name, parts in selectors.splits_of(release).items() if name.endswith(FOLDS)},
        n_elsewhere=release.reliability.get("n_elsewhere"),
    )  # fmt: skip
