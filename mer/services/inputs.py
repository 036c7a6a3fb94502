"""Spectrograms and features of tracks, and what follows when the ground floor has a new track or writes a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.files.base import ContentFile
from django.db import transaction
from django.urls import reverse

from datasets import selectors as ground
from datasets.methods.audio import read_wav
from datasets.models import Release, Track
from datasets.services import queue
from datasets.signals import bundle_writing, release_preparing, track_ready
from mer import selectors
from mer.errors import SpectrogramImpossible
from mer.methods.params import RECIPES, SpectrogramParams
from mer.models import FeatureVector, Spectrogram, SpectrogramSet

DRAW = "mer.tasks.draw_spectrograms"


def store_features(track: Track, kind: str, values: dict[str, float], *, reason: str = "") -> FeatureVector:
    row, _ = FeatureVector.objects.update_or_create(
        track=track, kind=kind, defaults={"version": selectors.VERSIONS[kind], "values": values, "reason": reason}
    )
    return row


def spectrogram_set(params: SpectrogramParams) -> SpectrogramSet:
    row, _ = SpectrogramSet.objects.get_or_create(input=params.input, recipe=params.recipe, defaults={"params": params.as_dict()})
    return row


@transaction.atomic
def store_spectrogram(owner: SpectrogramSet, track: Track, png: bytes | None, *, reason: str = "") -> Spectrogram:
    """Store a picture, or the reason why there is none; made again it replaces the earlier one.

    Two workers may draw the same track (after its ingest, and before a training): the row makes them take turns.
    """
    state = Spectrogram.State.OK if png else Spectrogram.State.EXCLUDED
    made, _ = Spectrogram.objects.get_or_create(set=owner, track=track, defaults={"state": state})
    row = Spectrogram.objects.select_for_update().select_related("track").get(pk=made.pk)
    row.state, row.reason = state, reason
    if png:
        row.image.storage.delete(row.image.field.generate_filename(row, "png"))
        row.image.save("png", ContentFile(png), save=False)
    row.save()
    return row


def forget_spectrogram(row: Spectrogram) -> None:
    """Its picture is gone or broken: whoever needs it draws it anew."""
    Spectrogram.objects.filter(pk=row.pk).delete()


def draw_track(track: Track, sets: Sequence[SpectrogramSet]) -> None:
    from mer.methods import spectrograms  # librosa's filters come with it

    wav = ground.wav_of(track)
    for owner in sets:
        params = SpectrogramParams.stored(owner.params)
        try:
            if wav is None:
                raise SpectrogramImpossible("The track has no converted file.")
            with wav.file.open("rb") as file:
                found = spectrograms.pictures(read_wav(file), params)
            store_spectrogram(owner, track, spectrograms.png(spectrograms.stacked(found)))
        except SpectrogramImpossible as fact:
            store_spectrogram(owner, track, None, reason=str(fact))


def _queue_drawing(sender: object, track: Track, **kwargs: object) -> None:
    """A track that becomes ready gets its spectrograms."""
    url = reverse("datasets:track", args=[track.pk])
    queue.enqueue(DRAW, track, title=f"Spectrograms of “{track.title}”", url=url)


def _bundle_spectrograms(sender: object, release: Release, **kwargs: object) -> Iterator[tuple[str, Any]]:
    """The spectrograms of full songs in both recipes, for its bundle: what is missing is drawn, so that it holds the same whenever it is
    written.
    """
    for recipe in RECIPES:
        drawn = spectrogram_set(SpectrogramParams(recipe=recipe))
        for piece in ground.pieces(release):
            number = dict(release.items.filter(number__range=piece).values_list("track_id", "number"))
            there = drawn.spectrograms.filter(track__in=number)
            for track in Track.objects.filter(pk__in=number).exclude(pk__in=there.values("track")):
                draw_track(track, [drawn])
            rows = list(there.filter(state=Spectrogram.State.OK))
            for row in sorted(rows, key=lambda row: number[row.track_id]):
                yield f"spectrograms/{drawn.input}-{drawn.recipe}/{number[row.track_id]}.png", row.image


def _incomplete(sender: object, tracks: Sequence[int], draw: bool = False, **kwargs: object) -> dict[int, str]:
    """Tracks that no picture can be made of, with the reason; and those that nobody has drawn yet, unless they are drawn now."""
    rows = Spectrogram.objects.filter(track__in=tracks)
    if draw:
        for track in Track.objects.filter(pk__in=tracks).exclude(pk__in=rows.values("track")):
            draw_track(track, [spectrogram_set(SpectrogramParams())])
    drawn = set(rows.filter(state=Spectrogram.State.OK).values_list("track_id", flat=True))
    missing = {track: "not drawn yet; it is once a worker has come to it" for track in tracks if track not in drawn}
    return missing | dict(rows.filter(state=Spectrogram.State.EXCLUDED).order_by("pk").values_list("track_id", "reason"))


def connect() -> None:
    release_preparing.connect(_incomplete, dispatch_uid="mer.incomplete")
    track_ready.connect(_queue_drawing, dispatch_uid="mer.draw")
    bundle_writing.connect(_bundle_spectrograms, dispatch_uid="mer.bundle")
