"""Bringing in a release that another studio froze: its tracks, its ratings and the frozen release itself, the same byte for byte."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files import File
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets.contents import RATINGS, RECORDED, SPLITS, TRACKS
from datasets.errors import NameTaken
from datasets.methods import addresses
from datasets.methods.audio import sha256_of
from datasets.methods.bundles import BundleReader, BundleRefused
from datasets.methods.formats import Kind, tables
from datasets.models import (
    Dataset,
    Erratum,
    Job,
    Label,
    Release,
    ReleaseImport,
    ReleaseItem,
    ReleaseRating,
    Split,
    SplitMember,
    Track,
    Word,
)
from datasets.services import audit, queue
from datasets.services import tracks as track_services
from datasets.services.releases import hash_of
from datasets.signals import release_arrived

ARRIVE = "datasets.tasks.bring_in_release"
PIECE = 2000
KEPT = timedelta(days=7)  # of a bundle that was refused
RECORDING = re.compile(r"audio/(\d{1,18})\.[a-z0-9]{1,5}")
SHA256 = re.compile(r"[0-9a-f]{64}")
LINK = re.compile(r"https?://|\Z")
ITEM_FIELDS = tuple(name for name in TRACKS if name not in ("track_id", "part"))
RATING_FIELDS = tuple(name for name in RATINGS if name != "track_id")
MAY_BE_EMPTY = ("start_s", "end_s", "valence", "arousal", "confidence", "known", "vocals")
TRACK_FIELDS = ("title", "artist", "licence", "source_url", "external_id", "sha256")


def take(
    file: File[bytes], filename: str, *, dataset: Dataset | None, by: User | None, wake_worker: bool = True, any_size: bool = False
) -> ReleaseImport:
    """Keep a bundle and queue its reading. Raises SourceRefused for one that is larger than a page takes."""
    if not any_size:
        track_services.guard_size(filename, file.size)
    arrival = ReleaseImport(filename=filename[:300], size=file.size, dataset=dataset, created_by=by)
    arrival.file.save("bundle.zip", file, save=False)
    try:
        with transaction.atomic():
            arrival.save()
            title = f"Bring in {arrival.filename}"
            arrival.job = queue.enqueue(
                ARRIVE, arrival, title=title, url=reverse("datasets:release_import"), by=by, wake_worker=wake_worker
            )
            arrival.save(update_fields=["job"])
    except BaseException:
        arrival.file.storage.delete(str(arrival.file.name))
        raise
    return arrival


def check(arrival: ReleaseImport, bundle: BundleReader, said: Mapping[str, Any]) -> int:
    """Read all tables and recordings once, before anything is made of them: every value is one, and the content hash is the stated one.

    Returns the number of tracks.
    """
    name = said["release"]["name"]
    _clean(Release(**{name: said["release"][name] for name in RECORDED}), ("name", "rule", "licence", "content_hash"), "release")
    forget_halves(name=name)
    if Release.every.filter(name=name).exclude(pk=arrival.release_id or 0, is_complete=False).exists():
        raise NameTaken(_("A release named “%(name)s” is here already; it was not changed.") % {"name": name})
    tables = check_tables(bundle, said)
    for number, file in recordings_of(bundle).items():
        with bundle.open(file) as recording:
            digest = sha256_of(recording)
        if digest != tables.sums.get(number):
            raise BundleRefused(_("%(name)s is not the file that the table of tracks names.") % {"name": file[:80]})
    return len(tables.sums)


def check_tables(bundle: BundleReader, said: Mapping[str, Any]) -> _Tables:
    """Every value of the tables is one, they fit to each other, and their content hash is the stated one. Asks no database."""
    tables = _Tables(bundle, said)
    splits, parts = said["splits"], tables.parts()
    if hash_of(said["release"], tables.items(), parts, tables.ratings()) != said["release"]["content_hash"]:
        raise BundleRefused(_("The tables of the bundle do not have the content hash that it states: it was changed."))
    if not tables.sums:
        raise BundleRefused(_("The bundle holds no track."))
    if any(len(found) != len(splits) for found in parts.values()) or parts.keys() != tables.sums.keys():
        raise BundleRefused(_("The table splits does not give every track one part in every split."))
    return tables


def forget_halves(**of: str) -> None:
    """Releases that stopped in the middle of coming in, and of which nobody is at work: their names are free again."""
    at_work = ReleaseImport.objects.filter(job__state__in=[Job.State.QUEUED, Job.State.RUNNING], release__isnull=False)
    Release.every.filter(is_complete=False, **of).exclude(pk__in=at_work.values("release")).delete()


def votes_and_shares(labels: Sequence[str]) -> dict[str, tuple[Kind, str]]:
    """The columns of the table of tracks that depend on the labels."""
    return {f"votes_{label}": (int, "") for label in labels} | {f"share_{label}": (float, "") for label in labels}


def recordings_of(bundle: BundleReader) -> dict[int, str]:
    """The recordings in the bundle by the number of their track."""
    found = (RECORDING.fullmatch(name) for name in bundle.names)
    return {int(match.group(1)): match.group() for match in found if match}


class _Tables:
    """The rows of a bundle as they are read for the first time: each is checked, and against those before it."""

    def __init__(self, bundle: BundleReader, said: Mapping[str, Any]) -> None:
        self.bundle, self.labels = bundle, list(said["release"]["labels"])
        self.split_names = [split["name"] for split in said["splits"]]
        self.words = {word["key"]: label["key"] for label in said["labels"] for word in label["words"]}
        self.sums: dict[int, str] = {}
        self.votes: dict[int, tuple[int, ...]] = {}

    def parts(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        hold_out = self.split_names[0]
        place = {name: number for number, name in enumerate(self.split_names)}
        for row in rows_of(self.bundle, "splits", SPLITS):
            if row["split"] not in place or not 0 < len(row["part"]) <= 20:
                raise BundleRefused(_("“%(split)s” is no split of the release.") % {"split": str(row["split"])[:60]})
            if row["split"] == hold_out and row["part"] not in SplitMember.Part.values:
                raise BundleRefused(_("“%(part)s” is no part of a hold-out split.") % {"part": row["part"]})
            mine = found.setdefault(row["track_id"], [])
            if len(mine) != place[row["split"]]:
                raise BundleRefused(_("Track %(track)s is twice in a split, or not in all.") % {"track": row["track_id"]})
            mine.append(row["part"])
        return found

    def items(self) -> Iterator[dict[str, Any]]:
        before, seen = -1, set[str]()
        for row in rows_of(self.bundle, "tracks", TRACKS | votes_and_shares(self.labels)):
            number, votes = row["track_id"], tuple(row[f"votes_{label}"] for label in self.labels)
            what = _("track %(track)s") % {"track": number}
            if number <= before:
                raise BundleRefused(_("Track %(track)s is twice in the table, or out of its order.") % {"track": number})
            names = {f"sha256:{row['sha256']}", f"id:{row['external_id']}" if row["external_id"] else f"sha256:{row['sha256']}"}
            if names & seen:
                raise BundleRefused(_("Track %(track)s is a recording that another track is already.") % {"track": number})
            _clean(ReleaseItem(**{name: row[name] for name in ITEM_FIELDS}), (*TRACK_FIELDS, "label"), what)
            start_s, end_s = row["start_s"], row["end_s"]
            n, top = sum(votes), max(votes)
            winners = [label for label, count in zip(self.labels, votes, strict=True) if count == top]
            shares = [row[f"share_{label}"] for label in self.labels]
            fits = (
                row["label"] in self.labels
                and (n == 0 or abs(row["agreement"] - top / n) < 1e-9)
                and (row["is_ruled"] or winners == [row["label"]])
                and all(abs(share - (count / n if n else 0)) < 1e-5 for share, count in zip(shares, votes, strict=True))
                and 0 <= row["agreement"] <= 1
                and row["duration_s"] > 0
                and min(votes) >= 0
                and SHA256.fullmatch(row["sha256"])
                and LINK.match(row["source_url"])
                and (start_s is None or start_s >= 0)
                and (end_s is None or end_s > (start_s or 0))
            )
            if not fits:
                raise BundleRefused(_("In the bundle, %(what)s: its values are none that a track can have.") % {"what": what})
            before = number
            seen |= names
            self.sums[number], self.votes[number] = row["sha256"], votes
            yield row | {"number": number, "votes": {label: n for label, n in zip(self.labels, votes, strict=True) if n}}

    def ratings(self) -> Iterator[dict[str, Any]]:
        counted: dict[int, list[int]] = {number: [0] * len(self.labels) for number in self.votes}
        before = (-1, "")
        for row in rows_of(self.bundle, "ratings", RATINGS):
            number = _known(row, self.votes, "ratings")
            if (number, row["pseudonym"]) <= before:
                raise BundleRefused(
                    _("A rater has rated track %(track)s twice, or the table is out of its order.") % {"track": number}
                )
            before = (number, row["pseudonym"])
            if row["label"] not in self.labels or (row["word"] and self.words.get(row["word"]) != row["label"]):
                raise BundleRefused(
                    _("A rating of track %(track)s says “%(word)s”, which is no word or label of the dataset.")
                    % {"track": number, "word": f"{row['word']} / {row['label']}"[:80]}
                )
            said = ReleaseRating(**{name: row[name] for name in RATING_FIELDS})
            _clean(said, ("pseudonym", "valence", "arousal", "confidence"), _("a rating of track %(track)s") % {"track": number})
            counted[number][self.labels.index(row["label"])] += 1
            yield row | {"number": number}
        for number, votes in self.votes.items():
            if tuple(counted[number]) != votes:
                raise BundleRefused(_("The votes of track %(track)s are not those of its ratings.") % {"track": number})


def dataset_for(arrival: ReleaseImport, said: Mapping[str, Any]) -> Dataset:
    """The dataset that was chosen, if its labels are the bundle's; else one of the bundle's own, made once."""
    keys = [label["key"] for label in said["labels"]]
    if arrival.dataset:
        here = list(arrival.dataset.labels.values_list("key", flat=True))
        if here != keys:
            raise BundleRefused(
                _("“%(dataset)s” has the labels %(here)s, the bundle %(labels)s: bring it into a dataset of its own.")
                % {"dataset": arrival.dataset, "here": ", ".join(here), "labels": ", ".join(map(str, keys))}
            )
        words = {
            word.key: (word.label.key, word.name)
            for word in Word.objects.filter(label__dataset=arrival.dataset).select_related("label")
        }
        names = dict(arrival.dataset.labels.values_list("key", "name"))
        others = [label["name"] for label in said["labels"] if names[label["key"]] != label["name"]]
        others += [
            word["name"]
            for label in said["labels"]
            for word in label["words"]
            if words.get(word["key"], (label["key"], word["name"])) != (label["key"], word["name"])
        ]
        if others:  # the same key for another name, as of two that read alike in Latin letters
            raise BundleRefused(
                _("“%(dataset)s” means something else by the keys of %(names)s: bring it into a dataset of its own.")
                % {"dataset": arrival.dataset, "names": ", ".join(others[:10])}
            )
        missing = {word["key"] for label in said["labels"] for word in label["words"]} - set(words)
        if missing:
            raise BundleRefused(
                _("“%(dataset)s” has no words %(words)s, which the bundle's ratings use: bring it into a dataset of its own.")
                % {"dataset": arrival.dataset, "words": ", ".join(sorted(missing)[:10])}
            )
        return arrival.dataset
    about = said["dataset"]
    with transaction.atomic():
        dataset = Dataset.objects.create(
            name=_free_name(about["name"]), description=about["description"], synthetic=about["synthetic"]
        )
        _copy_labels(dataset, said["labels"])
        ReleaseImport.objects.filter(pk=arrival.pk).update(dataset=dataset)
    arrival.dataset = dataset
    return dataset


def _free_name(name: str) -> str:
    name = name.strip()[:90] or "Dataset"
    taken = set(Dataset.objects.filter(name__startswith=name).values_list("name", flat=True))
    return next(free for free in (name, *(f"{name} ({n})" for n in range(2, len(taken) + 3))) if free not in taken)


def _copy_labels(dataset: Dataset, labels: list[dict[str, Any]]) -> None:
    try:
        for order, label in enumerate(labels):
            names = {name: label[name] for name in ("key", "name", "translations", "colour")}
            row = Label(dataset=dataset, order=order, **names)
            row.full_clean()
            row.save()
            for number, word in enumerate(label["words"]):
                spoken = {name: word[name] for name in ("key", "name", "translations", "valence", "arousal")}
                one = Word(label=row, order=number, **spoken)
                one.full_clean()
                one.save()
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise BundleRefused(_("The labels of the bundle do not read: %(error)s") % {"error": str(error)[:300]}) from None


def rows_of(bundle: BundleReader, name: str, columns: Mapping[str, tuple[Kind, str]]) -> Iterator[dict[str, Any]]:
    """The rows of a table with every column as the value it should be. Raises BundleRefused with the row and the column."""
    for number, row in enumerate(tables.read(bundle, name), 1):
        for column, (kind, _meaning) in columns.items():
            value = row.get(column)
            if kind is datetime and isinstance(value, str):
                try:
                    value = row[column] = datetime.fromisoformat(value)
                except ValueError:
                    value = None
            fits = isinstance(value, kind if kind is not float else float | int) and not (
                kind is not bool and isinstance(value, bool)
            )
            if value is None and column in MAY_BE_EMPTY:
                row[column], fits = None, True  # a bundle from before there was the column lacks it
            if isinstance(value, float) and not math.isfinite(value):
                fits = False
            if isinstance(value, int) and abs(value) >= 2**63:
                fits = False
            if isinstance(value, datetime) and (value.tzinfo is None or not 1990 <= value.year <= 2200):
                fits = False
            if isinstance(value, str) and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
                fits = False
            if not fits:
                raise BundleRefused(
                    _("Row %(number)d of the table %(name)s: “%(value)s” is no value for %(column)s.")
                    % {"number": number, "name": name, "value": ascii(value)[:80], "column": column}
                )
        yield row


def find_track(dataset: Dataset, row: Mapping[str, Any]) -> Track | None:
    """The track that is here already: by its video, else by its file. BundleRefused where another stretch of it is here."""
    mine = dataset.tracks.order_by("id")
    by_source = mine.filter(external_id=row["external_id"]).first() if row["external_id"] else None
    found = by_source or (mine.filter(sha256=row["sha256"]).first() if row["sha256"] else None)
    if found and found.stretch != (row["start_s"], row["end_s"]):
        raise BundleRefused(
            _(
                "“%(title)s” is here as track %(track)s with another stretch of the recording: bring the bundle into a dataset of its own."
            )
            % {"title": found.title, "track": found.pk}
        )
    return found


def bring_in_track(dataset: Dataset, row: Mapping[str, Any], recording: File[bytes] | None, *, by: User | None) -> Track:
    """Make the track with its recording and queue what makes it ready. Without one, a video is fetched again; a file is waited for."""
    track = Track(dataset=dataset, **{name: row[name] for name in TRACK_FIELDS})
    track.source = Track.Source.YOUTUBE if _video(row) else Track.Source.FILE
    track.start_s, track.end_s = row["start_s"], row["end_s"]
    track_services.take_over(track, recording, by=by)
    return track


@contextmanager
def recording(bundle: BundleReader, name: str | None) -> Iterator[File[bytes] | None]:
    """The original of a track, if it is in the bundle; `check` has seen that it is the file that the track names."""
    if name is None:
        yield None
        return
    with tempfile.TemporaryFile(dir=settings.WORK_DIR) as local:
        with bundle.open(name) as stored:
            shutil.copyfileobj(stored, local, 1 << 20)
        file = File(local, name=name)
        file.size = local.tell()
        yield file


def _video(row: Mapping[str, Any]) -> bool:
    """Whether the source is a video that can be fetched by its id."""
    try:
        found = addresses.parse(row["source_url"])
    except addresses.AddressRefused:
        return False
    return found.kind == "video" and found.identifier == row["external_id"]


def _clean(row: Model, fields: Sequence[str], what: str) -> None:
    """Values that the database would refuse are refused by name, before anything is stored."""
    try:
        row.clean_fields(exclude={field.name for field in row._meta.get_fields()} - set(fields))
    except ValidationError as error:
        text = "; ".join(f"{name}: {' '.join(words)}" for name, words in error.message_dict.items())
        raise BundleRefused(_("In the bundle, %(what)s: %(error)s") % {"what": what, "error": text[:300]}) from None


def store_release(
    arrival: ReleaseImport, dataset: Dataset, said: Mapping[str, Any], bundle: BundleReader, track_of: Mapping[int, int]
) -> Release:
    """The frozen release with its ratings and splits, piece by piece, so that nobody waits; nobody sees it before it is complete.

    track_of : {number in the bundle: track here}
    """
    values = {name: said["release"][name] for name in RECORDED}
    frozen_at = datetime.fromisoformat(said["release"]["frozen_at"])
    try:
        with transaction.atomic():
            if arrival.release_id:  # of an attempt that was interrupted
                Release.every.filter(pk=arrival.release_id, is_complete=False).delete()
            release = Release.every.create(dataset=dataset, is_complete=False, **values)
            Release.every.filter(pk=release.pk).update(frozen_at=frozen_at)
            ReleaseImport.objects.filter(pk=arrival.pk).update(release=release)
    except IntegrityError:
        raise NameTaken(_("A release named “%(name)s” is here already; it was not changed.") % {"name": values["name"]}) from None
    arrival.release, release.frozen_at = release, frozen_at
    item_of = _store_items(release, bundle, track_of)
    _store_ratings(release, bundle, track_of)
    _store_splits(release, said["splits"], bundle, item_of)
    with transaction.atomic():
        for erratum in said["errata"]:
            stored = Erratum.objects.create(release=release, text=erratum["text"])
            Erratum.objects.filter(pk=stored.pk).update(at=datetime.fromisoformat(erratum["at"]))
        Release.every.filter(pk=release.pk).update(is_complete=True)
        audit.record(release, to="brought in", actor=arrival.created_by, reason=f"from {arrival.filename}: {len(item_of)} tracks")
    return release


def announce(arrival: ReleaseImport, numbers: tuple[int, int]) -> None:
    """Let the floors above follow, for a piece of the tracks; done again, it changes nothing."""
    with transaction.atomic():
        release_arrived.send(Release, release=arrival.release, numbers=numbers, by=arrival.created_by)


def _store_items(release: Release, bundle: BundleReader, track_of: Mapping[int, int]) -> dict[int, int]:
    labels = list(release.labels)
    columns = TRACKS | {f"votes_{label}": (int, "") for label in labels}
    items: list[ReleaseItem] = []
    item_of: dict[int, int] = {}

    def store() -> None:
        item_of.update((item.number, item.pk) for item in ReleaseItem.objects.bulk_create(items))
        items.clear()

    for row in rows_of(bundle, "tracks", columns):
        votes = {label: row[f"votes_{label}"] for label in labels if row[f"votes_{label}"]}
        item = ReleaseItem(release=release, number=row["track_id"], votes=votes, **{name: row[name] for name in ITEM_FIELDS})
        item.track_id = track_of[item.number]
        items.append(item)
        if len(items) == PIECE:
            store()
    store()
    return item_of


def _store_ratings(release: Release, bundle: BundleReader, track_of: Mapping[int, int]) -> None:
    ratings: list[ReleaseRating] = []
    for row in rows_of(bundle, "ratings", RATINGS):
        number = _known(row, track_of, "ratings")
        values = {name: row[name] for name in RATING_FIELDS}
        ratings.append(ReleaseRating(release=release, track_id=track_of[number], number=number, **values))
        if len(ratings) == PIECE:
            ReleaseRating.objects.bulk_create(ratings)
            ratings.clear()
    ReleaseRating.objects.bulk_create(ratings)


def _store_splits(release: Release, said: list[dict[str, Any]], bundle: BundleReader, item_of: Mapping[int, int]) -> None:
    splits = {}
    for split in said:
        made = Split.objects.create(release=release, name=split["name"], seed=split["seed"], parts=split["parts"])
        splits[made.name] = made.pk
    members: list[SplitMember] = []
    for row in rows_of(bundle, "splits", SPLITS):
        number = _known(row, item_of, "splits")
        members.append(SplitMember(split_id=splits[row["split"]], item_id=item_of[number], part=row["part"]))
        if len(members) == PIECE:
            SplitMember.objects.bulk_create(members)
            members.clear()
    SplitMember.objects.bulk_create(members)


def _known(row: Mapping[str, Any], known: Mapping[int, Any], table: str) -> int:
    number: int = row["track_id"]
    if number not in known:
        raise BundleRefused(
            _("The table %(table)s names track %(track)s, which is not in the release.") % {"table": table, "track": number}
        )
    return number


def finish(arrival: ReleaseImport) -> None:
    """The bundle is in: its file is not needed any more."""
    name = str(arrival.file.name)
    waiting = Track.objects.filter(pk__in=ReleaseItem.objects.filter(release=arrival.release_id).values("track"))
    without_audio = waiting.filter(state=Track.State.FAILED, files=None).count()
    ReleaseImport.objects.filter(pk=arrival.pk).update(without_audio=without_audio, file="")
    if name:
        arrival.file.storage.delete(name)


def forget_old() -> None:
    """Bundles that were refused, and that nobody tried again."""
    old = ReleaseImport.objects.filter(file__gt="", created_at__lt=timezone.now() - KEPT)
    for arrival in old.exclude(job__state__in=[Job.State.QUEUED, Job.State.RUNNING]):
        name = str(arrival.file.name)
        arrival.delete()
        if name:
            arrival.file.storage.delete(name)
    forget_halves()


def job_of(arrival: ReleaseImport) -> Job:
    assert arrival.job is not None
    return arrival.job
