"""Freezing a release, and asking for its bundle. Called from above with plain values; nothing here knows ratings or runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets import selectors
from datasets.errors import NameTaken, NothingToFreeze, ValueRefused
from datasets.methods import leakage, splits
from datasets.models import (
    FOLDS,
    AudioFile,
    Dataset,
    Erratum,
    Export,
    Fault,
    Job,
    Release,
    ReleaseItem,
    ReleaseRating,
    Split,
    SplitMember,
    Track,
    group_of,
)  # fmt: skip
from datasets.services import queue
from datasets.services.audit import change_state, record

EXPORT = "datasets.tasks.write_export"
SLUG = re.compile(r"[a-zA-Z0-9_-]{1,60}")
MAX_SEED = 2**31 - 1
ITEM_COLUMNS = (
    "number", "title", "artist", "licence", "source_url", "external_id", "sha256", "duration_s", "start_s", "end_s", "label",
    "agreement", "votes", "is_ruled",
)  # fmt: skip
HEAD_OF_OLD = ("labels", "rule", "licence", "authors", "left_out")
RATING_OF_OLD = ("number", "pseudonym", "word", "label", "rated_at")
# By the version of the hash; releases of the first keep theirs.
HEAD_COLUMNS = {1: HEAD_OF_OLD, 2: (*HEAD_OF_OLD, "description", "funnel", "reliability", "leakage", "rule_values", "hash_version")}
RATING_COLUMNS = {1: RATING_OF_OLD, 2: (*RATING_OF_OLD, "valence", "arousal", "confidence", "known", "vocals")}
HOLD_OUT = "80/10/10"
N_FOLDS, FEWEST_FOLDS, MOST_FOLDS = 5, 3, 20  # with three, each is trained on, chosen by and tested in turn


@dataclass(frozen=True)
class Item:
    """A track with its settled label."""

    track: Track
    label: str
    agreement: float
    votes: dict[str, int]
    is_ruled: bool = False


@dataclass(frozen=True)
class VoteRow:
    """One rating, without its rater's person."""

    track_id: int
    pseudonym: str
    word: str
    label: str
    valence: float | None
    arousal: float | None
    confidence: int | None
    known: bool | None
    vocals: bool | None
    rated_at: datetime


@dataclass(frozen=True)
class LeftOut:
    track: int
    title: str
    reason: str


@dataclass(frozen=True)
class Imprint:
    """What people say of a release: they choose its name, and may state the rest."""

    name: str
    description: str = ""
    licence: str = ""
    authors: tuple[str, ...] = ()


@transaction.atomic
def freeze_release(
    *, dataset: Dataset, imprint: Imprint, seed: int, rule: str, rule_values: dict[str, object], items: Sequence[Item], ratings: Sequence[VoteRow],
    left_out: Sequence[LeftOut], funnel: Sequence[dict[str, object]], reliability: dict[str, object],
    parts: Mapping[int, str] | None = None, sizes: Mapping[str, int] | None = None, n_folds: int | None = None, by: User | None = None,
) -> Release:  # fmt: skip
    """Write the release, its ratings and its splits (hold-out and folds) in one transaction.

    `parts` fixes the hold-out split ({track id: part}); without it a track stays in the part of its dataset's earlier releases,
    and only new ones are drawn; `sizes` says how many tracks each part has. `n_folds` folds are drawn as well; where no number is asked for, as many as in the dataset's last release, or
    five, where there are as many artists. Raises NothingToFreeze without items, NameTaken for a name in use, ValueRefused for what
    cannot be drawn.
    """
    name = imprint.name
    if not SLUG.fullmatch(name):
        raise ValueRefused(_("“%(name)s” cannot be a release's name: use at most 60 letters, digits, - and _.") % {"name": name})
    if not 0 <= seed <= MAX_SEED:
        raise ValueRefused(_("The seed %(seed)s is not between 0 and %(MAX_SEED)s.") % {"seed": seed, "MAX_SEED": MAX_SEED})
    if n_folds is not None and not FEWEST_FOLDS <= n_folds <= MOST_FOLDS:
        raise ValueRefused(
            _("%(n)s folds cannot be drawn: ask for %(least)s to %(most)s.")
            % {"n": n_folds, "least": FEWEST_FOLDS, "most": MOST_FOLDS}
        )
    if parts is not None and sizes:
        raise ValueRefused(_("A split from a file has its own sizes: leave the sizes out, or the file."))
    if not items:
        raise NothingToFreeze(_("No track has a settled label yet, so there is nothing to freeze. Collect more ratings first."))
    items = sorted(items, key=lambda item: item.track.pk)
    wanted = n_folds or usual_folds(dataset)
    earlier = Earlier.of(dataset, items, wanted)
    labels, groups = [item.label for item in items], [earlier.group[item.track.pk] for item in items]
    if parts is None:
        try:
            kept_parts = [earlier.part(item.track.pk) for item in items]
            drawn = splits.draw_parts(labels, groups, seed=seed, sizes=sizes, kept=kept_parts)
        except ValueError as fact:
            raise ValueRefused(f"{fact}.") from None
    else:
        drawn = _given(items, parts)
    folds: list[str] = []
    if len(set(groups)) >= wanted:
        kept = [earlier.folds.get(item.track.pk, "") for item in items]
        folds = splits.draw_folds(labels, groups, seed=seed, n_folds=wanted, kept=kept)
    elif n_folds:
        raise ValueRefused(
            _("%(n)s folds need as many artists or recordings that are kept together; there are %(found)s.")
            % {"n": n_folds, "found": len(set(groups))}
        )
    try:
        with transaction.atomic():
            release = Release.objects.create(
                dataset=dataset, name=name, rule=rule, rule_values=rule_values, description=imprint.description, licence=imprint.licence,
                authors=list(imprint.authors), leakage=_leakage(items, groups, drawn, folds, earlier, seed),
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
            number=item.track.pk,
            label=item.label,
            agreement=item.agreement,
            votes=item.votes,
            is_ruled=item.is_ruled,
            title=item.track.title,
            artist=item.track.artist,
            licence=item.track.licence,
            source_url=item.track.source_url,
            external_id=item.track.external_id,
            sha256=item.track.sha256,
            duration_s=item.track.duration_s or 0,
            start_s=item.track.stretch[0],
            end_s=item.track.stretch[1],
            kept_with=earlier.group[item.track.pk],
        )
        for item in items
    )
    ReleaseRating.objects.bulk_create(
        (ReleaseRating(release=release, number=row.track_id, **vars(row)) for row in ratings), batch_size=1000
    )
    shares = dict(splits.PAPER_PARTS) if parts is None else {}
    if sizes:
        shares = {part: size / len(items) for part, size in sizes.items()}
    _store_split(release, HOLD_OUT if parts is None else "from a file", seed, shares, rows, drawn)
    if folds:
        _store_split(release, f"{wanted}{FOLDS}", seed, dict.fromkeys(sorted(set(folds)), 1 / wanted), rows, folds)
    release.refresh_from_db()
    release.content_hash = content_hash(release)
    release.save(update_fields=["content_hash"])
    record(release, to="frozen", actor=by, reason=f"{len(items)} tracks, {len(ratings)} ratings, seed {seed}")
    return release


def _store_split(
    release: Release, name: str, seed: int, shares: dict[str, float], rows: Sequence[ReleaseItem], parts: Sequence[str]
) -> None:
    split = Split.objects.create(release=release, name=name, seed=seed, parts=shares)
    members = (SplitMember(split=split, item=row, part=part) for row, part in zip(rows, parts, strict=True))
    SplitMember.objects.bulk_create(members, batch_size=1000)


@dataclass(frozen=True)
class Earlier:
    """What the hold-out splits of a dataset's releases so far say of its tracks, and of what is kept together with them.

    group : by track, over all releases: under the artist's name of today and every name that was frozen, and with copies of the same
    recording, whether they are in a release or not. parts : the parts that a track had, the latest last. folds : the last of each track, of as many as are drawn now.
    """

    group: dict[int, str]
    parts: dict[int, list[str]]
    of_group: dict[str, list[str]]
    folds: dict[int, str]

    @classmethod
    def of(cls, dataset: Dataset, items: Sequence[Item], n_folds: int) -> Earlier:
        members = SplitMember.objects.filter(split__release__dataset=dataset, split__release__is_complete=True)
        columns = ("item__track_id", "item__artist", "item__track__artist", "part")
        in_order = members.order_by("split__release_id", "pk")
        before = list(in_order.filter(part__in=SplitMember.Part.values).values_list(*columns))
        group = {track: group_of(artist, track) for track, _frozen, artist, _part in before}
        group |= {item.track.pk: item.track.group for item in items}
        same = [(group_of(frozen, track), group[track]) for track, frozen, _artist, _part in before if frozen.strip()]
        roots = dict(zip(group, selectors.kept_together(group, same=same), strict=True))
        parts: dict[int, list[str]] = {}
        of_group: dict[str, list[str]] = {}
        for track, _frozen, _artist, part in before:
            parts.setdefault(track, []).append(part)
            of_group.setdefault(roots[track], []).append(part)
        folds = dict(in_order.filter(split__name=f"{n_folds}{FOLDS}").values_list("item__track_id", "part"))
        return cls(roots, parts, of_group, folds)

    def part(self, track: int) -> str:
        """Where the track stays; of a new one, where its group was first, so that no model is tested on what an earlier one learned."""
        return self.parts[track][-1] if track in self.parts else self.of_group.get(self.group[track], [""])[0]


def _given(items: Sequence[Item], parts: Mapping[int, str]) -> list[str]:
    """Raises ValueRefused for a part that is none, and for a track of the release without one."""
    for track, part in parts.items():
        if part not in SplitMember.Part.values:
            raise ValueRefused(
                _("Track %(track)s: “%(part)s” is no part; the parts are %(list)s.")
                % {"track": track, "part": part[:40], "list": ", ".join(SplitMember.Part.values)}
            )
    if missing := [item.track.pk for item in items if item.track.pk not in parts]:
        raise ValueRefused(
            _("The split names no part for %(n)d tracks of the release, among them %(list)s.")
            % {"n": len(missing), "list": ", ".join(map(str, missing[:5]))}
        )
    return [parts[item.track.pk] for item in items]


def usual_folds(dataset: Dataset) -> int:
    """As many as the dataset's last release with folds has, so that tracks keep theirs; five, where another studio drew some that cannot be."""
    drawn = Split.objects.filter(release__dataset=dataset, release__is_complete=True, name__endswith=FOLDS)
    last = drawn.order_by("release_id", "pk").values_list("name", flat=True).last() or ""
    number = last.removesuffix(FOLDS)
    return int(number) if number in map(str, range(FEWEST_FOLDS, MOST_FOLDS + 1)) else N_FOLDS


def _torn(groups: Sequence[str], parts: Sequence[str]) -> dict[str, set[str]]:
    """The parts of each group."""
    found: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=False):  # where no folds were drawn there is nothing to tear
        found.setdefault(group, set()).add(part)
    return found


def _leakage(
    items: Sequence[Item], groups: Sequence[str], parts: Sequence[str], folds: Sequence[str], earlier: Earlier, seed: int
) -> dict[str, object]:
    """What stands in two parts, here or here and in an earlier release, or in two folds; what moved; and what beside the sound tells a label."""
    of_group = _torn(groups, parts)
    over_releases = {group for group, found in of_group.items() if len(found | set(earlier.of_group.get(group, []))) > 1}
    tracks = [item.track for item in items]
    wavs = AudioFile.objects.filter(track__in=tracks, kind=AudioFile.Kind.WAV).values_list("track_id", "loudness_lufs", "peak_db")
    loudness = {pk: (lufs, peak) for pk, lufs, peak in wavs}
    originals = AudioFile.objects.filter(track__in=tracks, kind=AudioFile.Kind.ORIGINAL).values_list(
        "track_id", "codec", "sample_rate"
    )
    formats = {pk: (codec, str(rate)) for pk, codec, rate in originals}
    values: dict[str, list[object]] = {
        "source": [track.source for track in tracks],
        "channel": [track.channel for track in tracks],
        "codec": [formats.get(track.pk, ("", ""))[0] for track in tracks],
        "sample rate": [formats.get(track.pk, ("", ""))[1] for track in tracks],
        "loudness": [loudness.get(track.pk, (None, None))[0] for track in tracks],
        "peak": [loudness.get(track.pk, (None, None))[1] for track in tracks],
        "duration": [track.duration_s for track in tracks],
        "genre": [track.genre for track in tracks],
        "country": [track.country for track in tracks],
    }
    moved = [track.pk for track, part in zip(tracks, parts, strict=True) if {part} != {part, *earlier.parts.get(track.pk, [])}]
    return {
        "groups_in_two_parts": sorted(group for group, found in of_group.items() if len(found) > 1),
        "groups_in_two_folds": sorted(group for group, found in _torn(groups, folds).items() if len(found) > 1),
        "groups_over_releases": sorted(over_releases),
        "moved": moved,
        "clues": [asdict(clue) for clue in leakage.clues([item.label for item in items], values, seed=seed)],
    }


def content_hash(release: Release) -> str:
    """SHA-256 over everything that the tables of the bundle say."""
    parts: dict[int, list[str]] = {}
    members = SplitMember.objects.filter(split__release=release).order_by("split_id")
    for number, part in members.values_list("item__number", "part"):
        parts.setdefault(number, []).append(part)
    return hash_of(
        {name: getattr(release, name) for name in HEAD_COLUMNS[release.hash_version]},
        ({name: getattr(item, name) for name in ITEM_COLUMNS} for item in selectors.items_in_order(release)),
        parts,
        selectors.ratings_in_order(release),
    )


def hash_of(
    head: Mapping[str, Any],
    items: Iterable[Mapping[str, Any]],
    parts: Mapping[int, list[str]],
    ratings: Iterable[Mapping[str, Any]],
) -> str:
    """The same from plain rows, as canonical JSON lines; items and ratings in the order of their tables, parts by track number."""
    digest, version = hashlib.sha256(), head.get("hash_version", 1)
    _feed(digest, [head[name] for name in HEAD_COLUMNS[version]])
    for item in items:
        _feed(digest, [*(item[name] for name in ITEM_COLUMNS), *parts.get(item["number"], [])])
    for row in ratings:
        _feed(digest, [row[name] if name != "rated_at" else row[name].isoformat() for name in RATING_COLUMNS[version]])
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, values: list[object]) -> None:
    digest.update(json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n")


@transaction.atomic
def add_erratum(release: Release, text: str, *, by: User | None) -> Erratum:
    """What was found to be wrong is told beside the release, which itself stays as it is."""
    record(release, to="erratum", actor=by, reason=text[:500])
    return Erratum.objects.create(release=release, text=text, by=by)


def report_fault(release: Release, *, track_id: int, text: str, by: User | None) -> Fault:
    item = release.items.filter(number=track_id).first()
    if item is None:
        raise ValueRefused(_("Track %(track)s is not in “%(release)s”.") % {"track": track_id, "release": release})
    return Fault.objects.create(item=item, text=text, by=by)


@transaction.atomic
def answer_fault(fault: Fault, *, accepted: bool, answer: str, by: User | None) -> None:
    """An accepted report becomes an erratum; the label itself is mended by raters or a ruling, for the next release."""
    state = Fault.State.ACCEPTED if accepted else Fault.State.DECLINED
    change_state(fault, to=state, allowed=(Fault.State.OPEN,), actor=by, reason=answer, answer=answer)
    if accepted:
        item = fault.item
        add_erratum(item.release, f"Track {item.number} (“{item.title}”, {item.label}): {fault.text} {answer}".strip(), by=by)


@transaction.atomic
def request_export(release: Release, *, format: str, by: User | None = None, wake_worker: bool = True) -> Export:
    """Queue the bundle; asking again makes it anew. WrongState when it is being made already."""
    export, _ = Export.objects.get_or_create(release=release, format=format)
    url = reverse("datasets:release", args=[release.name])
    export.job = queue.enqueue(EXPORT, export, title=f"Export {release.name} ({format})", url=url, by=by, wake_worker=wake_worker)
    export.save(update_fields=["job"])
    record(release, to="export requested", actor=by, reason=format)
    return export


def forget_old() -> None:
    """Bundles that nobody asked for in a long time: made again they are the same bytes."""
    before = timezone.now() - timedelta(days=settings.JOB_RETENTION_DAYS)
    old = Export.objects.filter(Q(job__finished_at__lt=before) | Q(job=None, created_at__lt=before))
    for export in old:
        name = str(export.file.name)
        export.delete()
        if name:
            export.file.storage.delete(name)


def job_of(export: Export) -> Job:
    assert export.job is not None
    return export.job
