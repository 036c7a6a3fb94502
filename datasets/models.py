"""The ground floor: tracks, their files, and the frozen releases made of them.

Everything stored here is a plain value: nothing points up to ratings or runs.
"""

from __future__ import annotations

import math
import secrets
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from datasets.methods.audio import playback_gain
from datasets.methods.lists import as_clock


def in_language(name: str, translations: dict[str, str]) -> str:
    """A label's or a word's name in the language of the reader."""
    return translations.get((get_language() or "")[:2]) or name


IN_THE_PLANE = [MinValueValidator(-1), MaxValueValidator(1)]


class Dataset(models.Model):
    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    synthetic = models.BooleanField(default=False, help_text="Made by a generator, not by musicians: said wherever it shows.")
    # What is taken in
    shortest_s = models.FloatField(
        "shortest, in seconds", default=0.5, validators=[MinValueValidator(0.5)], help_text="Shorter recordings are refused."
    )
    longest_s = models.FloatField(
        "longest, in seconds",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Longer ones are refused; empty: the studio's own limit.",
    )
    range_start_s = models.FloatField(
        "take from second", null=True, blank=True, validators=[MinValueValidator(0)], help_text="Empty: from the beginning."
    )
    range_end_s = models.FloatField(
        "take to second", null=True, blank=True, validators=[MinValueValidator(0.5)], help_text="Empty: to the end."
    )
    licence_required = models.BooleanField(default=False, help_text="Recordings without a licence are refused.")
    age_restricted = models.BooleanField(
        "take age-restricted videos", default=True, help_text="They need the cookies of an account."
    )
    live_recordings = models.BooleanField(
        "take recordings of live streams", default=True, help_text="A stream that is still on the air is never taken."
    )
    made_for_kids = models.BooleanField(
        "take videos that are made for kids",
        default=True,
        help_text="Without them, each video is asked after at YouTube's Data API.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        permissions = [
            ("curate", "Can bring in tracks, see ratings, freeze, export and train"),
            ("inspect", "Can see what curators see, and change nothing"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def longest(self) -> float:
        """Seconds; the dataset's own limit or the studio's."""
        return min(settings.TRACK_MAX_MINUTES * 60.0, self.longest_s or math.inf)

    def clean(self) -> None:
        if self.longest_s is not None and self.shortest_s is not None and self.longest_s < self.shortest_s:
            raise ValidationError({"longest_s": _("The longest is shorter than the shortest: no recording would be taken.")})
        if self.range_end_s is not None and self.range_end_s <= (self.range_start_s or 0):
            raise ValidationError({"range_end_s": _("The range ends before it begins: no recording would be taken.")})
        if not self.made_for_kids and not settings.YOUTUBE_API_KEY:
            text = _(
                "YouTube tells which videos are made for kids only to those with a key of its Data API: an admin sets YOUTUBE_API_KEY."
            )
            raise ValidationError({"made_for_kids": text})


class Label(models.Model):
    """One of the classes; its class index is `order`."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="labels")
    key = models.SlugField(max_length=30)
    name = models.CharField(max_length=50)
    translations = models.JSONField(default=dict, blank=True, help_text='{language: name}, as in {"id": "Positif"}.')
    colour = models.CharField(
        max_length=7,
        blank=True,
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$")],
        help_text="As in #a85200; empty: the studio's own.",
    )
    order = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "key"], name="label_key_unique"),
            models.UniqueConstraint(fields=["dataset", "order"], name="label_order_unique"),
        ]

    def __str__(self) -> str:
        return in_language(self.name, self.translations)


class Word(models.Model):
    """An emotion word that raters choose; it stands for one label and has a place in the valence-arousal plane."""

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="words")
    key = models.SlugField(max_length=30)
    name = models.CharField(max_length=50)
    translations = models.JSONField(default=dict, blank=True, help_text='{language: name}, as in {"id": "Tenang"}.')
    valence = models.FloatField(default=0, help_text="Place in the plane: -1 unpleasant to 1 pleasant.")
    arousal = models.FloatField(default=0, help_text="Place in the plane: -1 calm to 1 excited.")
    order = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["label__order", "order"]
        constraints = [models.UniqueConstraint(fields=["label", "key"], name="word_key_unique")]

    def __str__(self) -> str:
        return in_language(self.name, self.translations)

    @property
    def upside_down(self) -> float:
        """Arousal as pictures count: downwards."""
        return -self.arousal


def _audio_path(audio: AudioFile, filename: str) -> str:
    """A path that tells nothing of the title; `filename` is only the extension."""
    return f"audio/{audio.track.token[:2]}/{audio.track.token}-{audio.kind}.{filename}"


def _new_token() -> str:
    return secrets.token_urlsafe(12)


def group_of(artist: str, track_id: int) -> str:
    """What a split keeps together: the artist where known, else the track itself."""
    return f"artist:{artist.strip().casefold()}" if artist.strip() else f"track:{track_id}"


class Track(models.Model):
    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        FETCHING = "fetching", _("Fetching")
        CONVERTING = "converting", _("Converting")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")
        EXCLUDED = "excluded", _("Excluded")

    class Source(models.TextChoices):
        FILE = "file", _("File")
        YOUTUBE = "youtube", _("YouTube")
        GENERATOR = "generator", _("Generator")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="tracks")
    token = models.CharField(max_length=20, unique=True, default=_new_token, editable=False)
    title = models.CharField(max_length=300)
    artist = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    genre = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=10, choices=Source)
    source_url = models.CharField(max_length=500, blank=True)
    external_id = models.CharField(
        max_length=100, blank=True, help_text="The track's name in its source: a video id, a column of a list."
    )
    reference = models.CharField(max_length=100, blank=True, help_text="Its name in the list that it came with.")
    channel = models.CharField(max_length=100, blank=True, help_text="YouTube's channel, whose habits may tell the label.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the original file.")
    start_s = models.FloatField(null=True, blank=True, help_text="The track begins here in the original; empty: at its beginning.")
    end_s = models.FloatField(null=True, blank=True, help_text="The track ends here in the original; empty: at its end.")
    duration_s = models.FloatField(null=True, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    reason = models.TextField(blank=True, help_text="Why it failed or was excluded.")
    problem = models.CharField(max_length=10, blank=True, help_text="The class of error of the last attempt to fetch it.")
    source_checked_at = models.DateTimeField(null=True, help_text="When it was last asked whether its source is still there.")
    source_gone = models.CharField(max_length=300, blank=True, help_text="Why the source can't be fetched any more; empty: it can.")
    # What the floor above settled, as plain values: written by `services.tracks.note_consensus`
    label = models.CharField(max_length=30, blank=True, help_text="Key of the settled label.")
    agreement = models.FloatField(null=True, help_text="Share of the most frequent label, once all ratings are in.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["dataset", "state", "id"]),
            models.Index(fields=["state", "id"]),
            models.Index(fields=["label", "id"]),
            models.Index(fields=["agreement", "id"]),
            models.Index(fields=["duration_s", "id"]),
            models.Index(fields=["title", "id"]),
        ]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], condition=~Q(sha256=""), name="track_file_unique"),
            models.UniqueConstraint(
                fields=["dataset", "external_id"], condition=~Q(external_id=""), name="track_external_id_unique"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "fetching", "converting", "ready", "failed", "excluded"]),
                name="track_state_known",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def link(self) -> str:
        """Its source, where that is an address that a page may link to."""
        return self.source_url if self.source_url.startswith(("https://", "http://")) else ""

    @property
    def stretch(self) -> tuple[float | None, float | None]:
        """Where the track begins and ends in its original: as its list says, else as its dataset does."""
        if self.start_s is not None or self.end_s is not None:
            return self.start_s, self.end_s
        return self.dataset.range_start_s, self.dataset.range_end_s

    @property
    def heard_until_s(self) -> float | None:
        """Where its stretch ends in the original: where the list says, or with the recording if that is shorter."""
        if self.end_s is None or self.duration_s is None:
            return self.end_s
        return min(self.end_s, (self.start_s or 0) + self.duration_s)

    @property
    def group(self) -> str:
        return group_of(self.artist, self.pk)


class AudioFile(models.Model):
    class Kind(models.TextChoices):
        ORIGINAL = "original", _("Original")
        WAV = "wav", _("22,050 Hz mono wav")
        STREAM = "stream", _("For players")

    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="files")
    kind = models.CharField(max_length=10, choices=Kind)
    file = models.FileField(upload_to=_audio_path, max_length=200)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    codec = models.CharField(max_length=40, blank=True)
    sample_rate = models.PositiveIntegerField(null=True)
    channels = models.PositiveSmallIntegerField(null=True)
    duration_s = models.FloatField(null=True)
    plays = models.BooleanField(default=False, help_text="Every browser plays it, and it tells nothing of the piece.")
    loudness_lufs = models.FloatField(null=True, help_text="Integrated loudness by EBU R128; empty for silence.")
    peak_db = models.FloatField(null=True, help_text="Loudest sample in dB below full scale.")
    silence_share = models.FloatField(null=True, help_text="Share of 50 ms blocks below -60 dB of full scale.")
    clipped_share = models.FloatField(null=True, help_text="Share of the original's samples at full scale, of all channels.")
    peaks = models.JSONField(default=list, help_text="Loudest sample of each of 400 equal stretches, 0-100, for the waveform.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["track", "kind"], name="audio_file_kind_unique")]

    @property
    def gain_db(self) -> float:
        return playback_gain(self.loudness_lufs, self.peak_db)


class Fingerprint(models.Model):
    """What a recording sounds like, for finding the same one again (datasets/methods/fingerprints.py)."""

    track = models.OneToOneField(Track, on_delete=models.CASCADE, related_name="fingerprint")
    items = models.BinaryField(help_text="chromaprint's numbers, 32 bits each, little-endian.")


class FingerprintKey(models.Model):
    """A sample of a fingerprint's values, by which candidates are looked up."""

    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    value = models.BigIntegerField(db_index=True)


class Duplicate(models.Model):
    """Two tracks that hold the same recording: a curator merges them or keeps both."""

    class State(models.TextChoices):
        OPEN = "open", _("To be looked at")
        KEPT = "kept", _("Both kept")
        MERGED = "merged", _("Merged")

    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="duplicates", help_text="The one that came later.")
    other = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    similarity = models.FloatField(help_text="1 minus the share of differing bits of the fingerprints.")
    offset_s = models.FloatField(help_text="Where the later one begins in the other.")
    overlap_s = models.FloatField(help_text="Seconds that both hold.")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    left_out = models.ForeignKey(
        Track, null=True, on_delete=models.SET_NULL, related_name="+", help_text="The one that the ruling left out."
    )
    found_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["track", "other"], name="duplicate_unique")]

    def __str__(self) -> str:
        return f"{self.track} / {self.other}"


def _part_path(part: UploadPart, filename: str) -> str:
    return f"uploads/{part.upload.token}/{part.start}"


class Upload(models.Model):
    """A file that a browser sends piece by piece; after a broken connection it goes on with the first piece that is missing."""

    class State(models.TextChoices):
        OPEN = "open", _("Coming in")
        JOINING = "joining", _("Being put together")
        DONE = "done", _("Done")

    token = models.CharField(max_length=20, unique=True, default=_new_token, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    filename = models.CharField(max_length=300)
    size = models.BigIntegerField()
    mark = models.CharField(
        max_length=64, help_text="What the browser reckoned of its bytes: another file of this name and size differs."
    )
    artist = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    joining_since = models.DateTimeField(null=True)
    track = models.ForeignKey(Track, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.filename


class UploadPart(models.Model):
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="parts")
    start = models.BigIntegerField()
    size = models.BigIntegerField()
    file = models.FileField(upload_to=_part_path, max_length=200)

    class Meta:
        ordering = ["start"]
        constraints = [models.UniqueConstraint(fields=["upload", "start"], name="upload_part_unique")]


class Job(models.Model):
    """A piece of heavy work. The row is the truth; a queue message only wakes a worker that claims the row."""

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    task = models.CharField(max_length=100, help_text="The Celery task's name.")
    subject = models.CharField(max_length=30, help_text="The kind of row it works on, as in the audit trail.")
    subject_id = models.BigIntegerField()
    title = models.CharField(max_length=300)
    url = models.CharField(max_length=300, blank=True, help_text="The page that shows the result.")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    progress = models.FloatField(default=0, help_text="0 to 1.")
    detail = models.CharField(max_length=300, blank=True, help_text="What it is doing now.")
    eta_s = models.FloatField(null=True)
    not_before = models.DateTimeField(null=True, help_text="When it is tried again, after something that may pass.")
    reason = models.TextField(blank=True, help_text="Why it failed.")
    log = models.TextField(
        blank=True, default="", db_default="", help_text="What it did, a step a line; the end of it, if it is long."
    )
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Tries that began, but for those whose worker died.")
    deaths = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Workers that died while they did it.")
    claim = models.CharField(max_length=36, blank=True, help_text="Whoever holds it; a lost claim can write nothing.")
    cancel_requested = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    woken_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "woken_at"]), models.Index(fields=["subject", "subject_id"])]
        constraints = [
            # One piece of work of a kind at a time on a row: a double click starts it once.
            models.UniqueConstraint(
                fields=["task", "subject", "subject_id"], condition=Q(state__in=["queued", "running"]), name="job_active_unique"
            )
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_active(self) -> bool:
        return self.state in (self.State.QUEUED, self.State.RUNNING)

    @property
    def last_steps(self) -> str:
        """The end of its log, as it is shown while it runs."""
        return "\n".join(self.log.splitlines()[-6:])

    @property
    def can_retry(self) -> bool:
        return self.state in (self.State.FAILED, self.State.CANCELLED)


class ApiToken(models.Model):
    """A key to the API with its owner's rights, or only to read; the secret itself is kept nowhere."""

    class Scope(models.TextChoices):
        READ = "read", _("Read")
        WRITE = "write", _("Read and write")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What it is for.")
    scope = models.CharField(max_length=10, choices=Scope)
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the secret.")
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class QueuePause(models.Model):
    """A queue that stands still: none of its jobs is claimed until the time has come or somebody resumes it."""

    queue = models.CharField(max_length=20, unique=True)
    reason = models.CharField(max_length=500)
    since = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField(null=True, help_text="Empty: until somebody resumes it.")
    times = models.PositiveSmallIntegerField(default=1, help_text="How often in a row; each pause is longer than the last.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    def __str__(self) -> str:
        return self.queue


class Sweep(models.Model):
    """When the queue was last looked after: one row."""

    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"last sweep at {self.at:%Y-%m-%d %H:%M:%S}"


class Import(models.Model):
    """A list of tracks to bring in: looked at first, brought in once it is confirmed, and kept as the record of what came of it."""

    class State(models.TextChoices):
        READING = "reading", _("Being read")
        PREVIEW = "preview", _("To be confirmed")
        RUNNING = "running", _("Coming in")
        DONE = "done", _("Done")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    name = models.CharField(max_length=300, help_text="Of the file or the playlist.")
    state = models.CharField(max_length=10, choices=State, default=State.PREVIEW)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("datasets:import", args=[self.pk])


class ImportRow(models.Model):
    """One line of a list. A playlist or a channel is one line until it is read, then as many as it has videos."""

    NOT_REACHED = "It could not be read now; read it again later."  # how such a refusal begins

    owner = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField(help_text="Its line in the list.")
    address = models.CharField(max_length=500)
    kind = models.CharField(max_length=10, blank=True, help_text="video, playlist or channel; empty: refused.")
    identifier = models.CharField(max_length=120, blank=True)
    title = models.CharField(max_length=300, blank=True)
    artist = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    genre = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=100, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    start_s = models.FloatField(null=True)
    end_s = models.FloatField(null=True)
    refusal = models.CharField(max_length=500, blank=True, help_text="Why it is not brought in; empty: it is.")
    track = models.ForeignKey(Track, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["number", "id"]

    def __str__(self) -> str:
        return self.address

    @property
    def is_unread(self) -> bool:
        """A playlist or a channel that could not be reached; it can be read again."""
        return self.refusal.startswith(self.NOT_REACHED)

    @property
    def facts(self) -> str:
        """What the list says of it, besides title and address."""
        stretch = ""
        if self.start_s is not None or self.end_s is not None:
            stretch = f"{as_clock(self.start_s or 0)}–{'' if self.end_s is None else as_clock(self.end_s)}"
        reference = f"id: {self.reference}" if self.reference else ""
        return " · ".join(part for part in (self.artist, self.licence, self.genre, self.country, stretch, reference) if part)


class OnlyAdded(models.QuerySet["Event"]):
    """Rows that are not changed or taken away: the database refuses it (migration 0024), this says so before it is asked."""

    def update(self, **values: object) -> NoReturn:
        raise TypeError("The audit trail is only added to: its rows are not changed.")

    def delete(self) -> NoReturn:
        raise TypeError("The audit trail is only added to: its rows are not deleted.")


class Event(models.Model):
    """The audit trail: who changed what from which state to which, when and why. Rows are only ever added."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    subject = models.CharField(max_length=30)
    subject_id = models.BigIntegerField()
    from_state = models.CharField(max_length=30, blank=True)
    to_state = models.CharField(max_length=30)
    reason = models.TextField(blank=True)

    objects = OnlyAdded.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["subject", "subject_id", "id"])]

    def __str__(self) -> str:
        return f"{self.subject} {self.subject_id}: {self.from_state} → {self.to_state}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The audit trail is only added to: its rows are not changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("The audit trail is only added to: its rows are not deleted.")


class CompleteReleases(models.Manager["Release"]):
    def get_queryset(self) -> models.QuerySet[Release]:
        return super().get_queryset().filter(is_complete=True)


class Release(models.Model):
    """A frozen, versioned set of labelled tracks. Never edited: a fix is a new release."""

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="releases")
    name = models.SlugField(max_length=60, unique=True)
    rule = models.CharField(max_length=200, help_text="The rule that settled the labels, in words.")
    rule_values = models.JSONField(default=dict, help_text="The same for another studio, which goes on by it.")
    labels = models.JSONField(default=list, help_text="Keys of the labels in class order, as they were when it was frozen.")
    funnel = models.JSONField(default=list, help_text="[{name, n}]: how many tracks were left after each step.")
    left_out = models.JSONField(default=list, help_text="[{track, title, reason}]: every ready or failed track not in the release.")
    reliability = models.JSONField(default=dict, help_text="Agreement statistics at the time of freezing.")
    leakage = models.JSONField(default=dict, help_text="What could let a network learn the part or the label by a side road.")
    description = models.TextField(blank=True)
    licence = models.CharField(max_length=100, blank=True, help_text="Of the labels.")
    authors = models.JSONField(default=list, help_text="Names, in the order of a citation.")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 over what the bundle says.")
    hash_version = models.PositiveSmallIntegerField(
        default=2,
        help_text="What the hash is over. 1: tables, labels, rule, licence, authors and what is left out. 2: the whole record.",
    )
    frozen_at = models.DateTimeField(auto_now_add=True)
    frozen_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    is_complete = models.BooleanField(default=True, help_text="No: it is still being brought in from another studio.")

    objects = CompleteReleases()
    every = models.Manager["Release"]()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class ReleaseItem(models.Model):
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="items")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="+")
    number = models.BigIntegerField(help_text="Of the track, in the studio that froze the release.")
    label = models.CharField(max_length=30)
    agreement = models.FloatField()
    votes = models.JSONField(help_text="{label: number of raters}")
    is_ruled = models.BooleanField(default=False, help_text="A curator settled the label, because the raters did not agree.")
    title = models.CharField(max_length=300)
    artist = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    source_url = models.CharField(max_length=500, blank=True)
    external_id = models.CharField(max_length=100, blank=True)
    sha256 = models.CharField(max_length=64)
    duration_s = models.FloatField()
    start_s = models.FloatField(null=True)
    end_s = models.FloatField(null=True)
    kept_with = models.CharField(
        max_length=350, blank=True,
        help_text="What no split tears apart, as it was then: its artist, joined with copies of the same recording. Empty: from another studio.",
    )  # fmt: skip

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["release", "track"], name="release_item_unique"),
            models.UniqueConstraint(fields=["release", "number"], name="release_item_number_unique"),
        ]

    @property
    def group(self) -> str:
        return self.kept_with or group_of(self.artist, self.track_id)


class ReleaseRating(models.Model):
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="ratings")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="+")
    number = models.BigIntegerField(help_text="Of the track, in the studio that froze the release.")
    pseudonym = models.CharField(max_length=60)
    word = models.CharField(max_length=30, blank=True)
    label = models.CharField(max_length=30)
    valence = models.FloatField(null=True, blank=True, validators=IN_THE_PLANE)
    arousal = models.FloatField(null=True, blank=True, validators=IN_THE_PLANE)
    confidence = models.PositiveSmallIntegerField(null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(3)])
    known = models.BooleanField(null=True, help_text="The rater knew the piece. Empty: nobody asked.")
    vocals = models.BooleanField(null=True, help_text="The rater heard a voice. Empty: nobody asked.")
    rated_at = models.DateTimeField()

    class Meta:
        ordering = ["number", "pseudonym"]
        constraints = [models.UniqueConstraint(fields=["release", "number", "pseudonym"], name="release_rating_unique")]


FOLDS = " folds"  # how the name of a split into folds ends, after their number


class Split(models.Model):
    """Which part each track of a release is in; drawn per group, so that no artist is in two parts."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="splits")
    name = models.CharField(max_length=60)
    seed = models.BigIntegerField()
    parts = models.JSONField(help_text="{part: share}, as asked for")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "name"], name="split_name_unique")]

    def __str__(self) -> str:
        return self.name


class SplitMember(models.Model):
    class Part(models.TextChoices):
        TRAIN = "train", _("Training")
        VALIDATION = "validation", _("Validation")
        TEST = "test", _("Test")

    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="members")
    item = models.ForeignKey(ReleaseItem, on_delete=models.CASCADE, related_name="memberships")
    part = models.CharField(max_length=20, help_text="A part of the hold-out split, or a fold.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["split", "item"], name="split_member_unique")]


def _saliency_path(signal: Signal, filename: str) -> str:
    return f"signals/{signal.run % 1000:03d}/{signal.run}/{signal.track.token}.png"


class Signal(models.Model):
    """What a run says of a track that it did not learn from, as plain values: written by the floor that has runs, read by the one that
    has raters."""

    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="signals")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="signals", help_text="That the run learned from.")
    run = models.PositiveBigIntegerField(help_text="Its number.")
    run_name = models.CharField(max_length=60)
    part = models.CharField(max_length=20, blank=True, help_text="Of the run's split; empty: the track is not in the release.")
    predicted = models.CharField(max_length=30)
    probabilities = models.JSONField(help_text="{label: probability}")
    quality = models.FloatField(null=True, help_text="Probability of the release's label; empty: the track is not in the release.")
    why = models.JSONField(default=list, help_text="[[feature, weight]]: what spoke for the predicted label, of a linear model.")
    picture = models.FileField(upload_to=_saliency_path, max_length=200, blank=True, help_text="Where a network looked.")

    class Meta:
        ordering = ["track_id", "run"]
        constraints = [models.UniqueConstraint(fields=["run", "track"], name="signal_unique")]

    def __str__(self) -> str:
        return f"{self.run_name} on track {self.track_id}"


class Sight(models.Model):
    """Somebody has seen what runs say: of the tracks of a release, and does not rule on its test tracks any more; or of one track."""

    release = models.ForeignKey(Release, null=True, on_delete=models.CASCADE, related_name="+")
    track = models.ForeignKey(Track, null=True, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["release", "user"], name="sight_unique"),
            models.UniqueConstraint(fields=["track", "user"], name="sight_of_track_unique"),
            models.CheckConstraint(condition=Q(release=None) ^ Q(track=None), name="sight_of_one_thing"),
        ]

    def __str__(self) -> str:
        return f"{self.user} saw {self.release or self.track}"


class Erratum(models.Model):
    """What was found to be wrong with a frozen release. The release stays as it is; the next one is mended."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="errata")
    text = models.TextField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "errata"


class Fault(models.Model):
    """A user of a release says that a label is faulty; a curator looks at it."""

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")

    item = models.ForeignKey(ReleaseItem, on_delete=models.CASCADE, related_name="faults")
    text = models.CharField(max_length=1000)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    answer = models.CharField(max_length=1000, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.item.title}: {self.text[:60]}"


def _arriving_path(arrival: ReleaseImport, filename: str) -> str:
    return f"arriving/{secrets.token_urlsafe(12)}.zip"


class ReleaseImport(models.Model):
    """A bundle that another studio wrote, on its way in: its release, its tracks and its ratings."""

    filename = models.CharField(max_length=300)
    file = models.FileField(upload_to=_arriving_path, max_length=200, blank=True)
    size = models.BigIntegerField()
    dataset = models.ForeignKey(
        Dataset, null=True, on_delete=models.SET_NULL, related_name="+", help_text="Where it goes; empty until its own is made."
    )
    release = models.OneToOneField(Release, null=True, on_delete=models.SET_NULL, related_name="arrival")
    without_audio = models.PositiveIntegerField(default=0, help_text="Tracks whose recording is neither in the bundle nor here.")
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.filename


def _bundle_path(export: Export, filename: str) -> str:
    return f"exports/{export.release_id}/{filename}"


class Export(models.Model):
    class Format(models.TextChoices):
        CSV = "csv", _("CSV tables, audio and spectrograms")
        JSONL = "jsonl", _("JSON lines: tables only")
        PARQUET = "parquet", _("Parquet: tables only")
        AUDIOFOLDER = "audiofolder", _("AudioFolder: audio in parts, for Hugging Face")
        JAMS = "jams", _("JAMS: every rater’s annotation, a file a track")
        MIRDATA = "mirdata", _("mirdata: an index with checksums, and audio")
        CROISSANT = "croissant", _("Croissant: CSV tables with machine-readable metadata")
        STUDIO = "studio", _("For another MER Studio: everything, with audio")

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=20, choices=Format)
    file = models.FileField(upload_to=_bundle_path, max_length=200, blank=True)
    size = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["release", "format"], name="export_format_unique")]

    def summary(self) -> dict[str, Any]:
        return {"release": self.release.name, "format": self.format, "size": self.size, "sha256": self.sha256}
