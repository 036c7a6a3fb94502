"""Freezing a release, and asking for its bundle. Called from above with plain values; nothing here knows ratings or runs."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from datasets.errors import NameTaken, NothingToFreeze, ValueRefused
from datasets.methods import splits
from datasets.models import Dataset, Duplicate, Export, Job, Release, ReleaseItem, ReleaseRating, Split, SplitMember, Track
from datasets.services import queue
from datasets.services.audit import record

EXPORT = "datasets.tasks.write_export"
SLUG = re.compile(r"[a-zA-Z0-9_-]{1,60}")
MAX_SEED = 2**31 - 1
ITEM_COLUMNS = (
    "track_id", "title", "artist", "licence", "source_url", "external_id", "sha256", "duration_s", "label", "agreement", "votes",
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A track with its settled label."""

    track: Track
    label: str
    agreement: float
    votes: dict[str, int]


@dataclass(frozen=True)
class VoteRow:
    """One rating, without its rater's person."""

    track_id: int
    pseudonym: str
    word: str
    label: str
    rated_at: datetime


@dataclass(frozen=True)
class LeftOut:
    track: int
    title: str
    reason: str


@transaction.atomic
def freeze_release(
    *, dataset: Dataset, name: str, seed: int, rule: str, items: Sequence[Item], ratings: Sequence[VoteRow],
    left_out: Sequence[LeftOut], funnel: Sequence[dict[str, object]], reliability: dict[str, object], by: User | None = None,
) -> Release:  # fmt: skip
    """Write the release, its ratings and its 80/10/10 split in one transaction.

    Raises NothingToFreeze without items, NameTaken for a name in use.
    """
    if not SLUG.fullmatch(name):
        raise ValueRefused(_("“%(name)s” cannot be a release's name: use at most 60 letters, digits, - and _.") % {"name": name})
    if not 0 <= seed <= MAX_SEED:
        raise ValueRefused(_("The seed %(seed)s is not between 0 and %(MAX_SEED)s.") % {"seed": seed, "MAX_SEED": MAX_SEED})
    if not items:
        raise NothingToFreeze(_("No track has a settled label yet, so there is nothing to freeze. Collect more ratings first."))
    items = sorted(items, key=lambda item: item.track.pk)
    parts = splits.draw_parts([item.label for item in items], _groups([item.track for item in items]), seed=seed)
    try:
        with transaction.atomic():
            release = Release.objects.create(
                dataset=dataset, name=name, rule=rule,
                labels=[label.key for label in dataset.labels.all()], funnel=list(funnel), left_out=[asdict(row) for row in left_out],
                reliability=reliability, frozen_by=by,
            )  # fmt: skip
    except IntegrityError:
        raise NameTaken(
            _("A release named “%(name)s” exists; a frozen release is never changed. Choose another name.") % {"name": name}
        ) from None
    rows = ReleaseItem.objects.bulk_create(
        ReleaseItem(
            release=release,
            track=item.track,
            label=item.label,
            agreement=item.agreement,
            votes=item.votes,
            title=item.track.title,
            artist=item.track.artist,
            licence=item.track.licence,
            source_url=item.track.source_url,
            external_id=item.track.external_id,
            sha256=item.track.sha256,
            duration_s=item.track.duration_s or 0,
        )
        for item in items
    )
    ReleaseRating.objects.bulk_create((ReleaseRating(release=release, **asdict(row)) for row in ratings), batch_size=1000)
    split = Split.objects.create(release=release, name="80/10/10", seed=seed, parts=dict(splits.PAPER_PARTS))
    SplitMember.objects.bulk_create(SplitMember(split=split, item=row, part=part) for row, part in zip(rows, parts, strict=True))
    Release.objects.filter(pk=release.pk).update(content_hash=content_hash(release))
    release.refresh_from_db()
    record(release, to="frozen", actor=by, reason=f"{len(items)} tracks, {len(ratings)} ratings, seed {seed}")
    return release


def _groups(tracks: Sequence[Track]) -> list[str]:
    """What a split keeps in one part: the tracks of an artist, and those that hold the same recording, joined where they touch.

    Whatever was ruled on a pair, and also through tracks that are not in the release: A and C are joined where both repeat B.
    """
    group = {track.pk: track.group for track in tracks}
    joined: dict[str, str] = {}

    def root(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    pairs = Duplicate.objects.filter(track__dataset__in={track.dataset_id for track in tracks}).order_by("pk")
    for one, other in pairs.values_list("track_id", "other_id"):
        first, second = sorted(root(group.get(pk, f"track:{pk}")) for pk in (one, other))
        if first != second:
            joined[second] = first
    return [root(group[track.pk]) for track in tracks]


def content_hash(release: Release) -> str:
    """SHA-256 over everything that the tables of the bundle say, as canonical JSON lines."""
    digest = hashlib.sha256()
    _feed(digest, [release.labels, release.rule, release.left_out])
    parts = dict(SplitMember.objects.filter(split__release=release).values_list("item_id", "part"))
    for item in release.items.order_by("track_id"):
        _feed(digest, [*(getattr(item, name) for name in ITEM_COLUMNS), parts.get(item.pk, "")])
    rows = release.ratings.order_by("track_id", "pseudonym").values_list("track_id", "pseudonym", "word", "label", "rated_at")
    for row in rows.iterator(chunk_size=2000):
        _feed(digest, [*row[:4], row[4].isoformat()])
    return digest.hexdigest()


def _feed(digest: "hashlib._Hash", values: list[object]) -> None:
    digest.update(json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@transaction.atomic
def request_export(release: Release, *, format: str, by: User | None = None, wake_worker: bool = True) -> Export:
    """Queue the bundle; asking again makes it anew. WrongState when it is being made already."""
    export, _ = Export.objects.get_or_create(release=release, format=format)
    url = reverse("datasets:release", args=[release.name])
    export.job = queue.enqueue(EXPORT, export, title=f"Export {release.name} ({format})", url=url, by=by, wake_worker=wake_worker)
    export.save(update_fields=["job"])
    record(release, to="export requested", actor=by, reason=format)
    return export


def job_of(export: Export) -> Job:
    assert export.job is not None
    return export.job
