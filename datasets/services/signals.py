"""What models say of tracks, written down for the floor that has raters; and who has seen it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import transaction

from datasets.models import Event, Release, ReleaseItem, Sight, Signal, SplitMember, Track
from datasets.rows import insert
from datasets.signals import signals_written


@dataclass(frozen=True)
class Said:
    """Of one track that the run did not learn from. part, label : of the release; empty for a track outside of it. picture : a PNG."""

    track_id: int
    part: str
    label: str
    probabilities: Mapping[str, float]
    why: Sequence[tuple[str, float]] = ()
    picture: bytes | None = None


def write_signals(release: Release, said: Sequence[Said], *, run: int, run_name: str) -> None:
    """Replaces what the run said of the same tracks before. Call it inside the transaction that stores the run's results."""
    tokens = dict(Track.objects.filter(pk__in=[one.track_id for one in said]).values_list("pk", "token"))
    rows = []
    for one in said:
        row = Signal(
            track_id=one.track_id, release=release, run=run, run_name=run_name, part=one.part,
            predicted=max(one.probabilities, key=lambda label: one.probabilities[label]), probabilities=dict(one.probabilities),
            quality=one.probabilities[one.label] if one.label else None, why=[list(pair) for pair in one.why],
        )  # fmt: skip
        if one.picture is not None:
            storage, name = row.picture.storage, f"signals/{run % 1000:03d}/{run}/{tokens[one.track_id]}.png"
            storage.delete(name)  # of an attempt before this one
            row.picture.name = storage.save(name, ContentFile(one.picture))
        rows.append(row)
    with transaction.atomic():
        Signal.objects.filter(run=run, track__in=list(tokens)).delete()
        Signal.objects.bulk_create(rows, batch_size=500)
        signals_written.send(Release, release=release, run=run)


def forget_outside(release: Release) -> None:
    """What runs said of tracks of the dataset that are in no release of theirs: no run is promoted any more, or another one is."""
    Signal.objects.filter(release__dataset=release.dataset_id, part="", quality=None).delete()
    signals_written.send(Release, release=release, run=None)


def note_sight(release: Release, user: User) -> None:
    """This person sees what runs say of the release's tracks: from now on others rule on its test tracks."""
    Sight.objects.get_or_create(release=release, user=user)


OPENED = "test figures opened"


def note_opened(runs: Collection[int], *, by: User | None) -> None:
    """Somebody reads what these runs say of their test parts; said once a person on each run. Without a person it is a command of this machine.

    Who has seen the test part of many runs, and chooses then, has chosen on the test part: the log shows it.
    """
    said = Event.objects.filter(subject="run", subject_id__in=runs, to_state=OPENED, actor=by)
    for run in sorted(set(runs) - set(said.values_list("subject_id", flat=True))):
        insert(Event(actor=by, subject="run", subject_id=run, to_state=OPENED))


def note_doubts_seen(release: Release, user: User) -> None:
    """This person sees what every run says of the release's tracks, and could count what is wrong."""
    note_sight(release, user)
    tested = Signal.objects.filter(release=release, part=SplitMember.Part.TEST)
    note_opened(list(tested.values_list("run", flat=True).distinct().order_by()), by=user)


def note_sight_of(track: Track, user: User) -> None:
    """This person sees what a run says of the track. Where it is in no release yet, it may still come into a test part."""
    Sight.objects.get_or_create(track=track, user=user)


def saw_the_test(user: User, track: Track) -> bool:
    """Whether the person has seen predictions on a release that has the track in its test part; or on the track itself, where one tests
    it or none has it yet.
    """
    tested = SplitMember.objects.filter(item__track=track, part=SplitMember.Part.TEST)
    saw_it = Sight.objects.filter(track=track, user=user).exists()
    if saw_it and (tested.exists() or not ReleaseItem.objects.filter(track=track).exists()):
        return True
    return tested.filter(item__release__in=Sight.objects.filter(user=user).values("release")).exists()
