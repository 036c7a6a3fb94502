"""Questionnaires, the raters who answer them, and the consensus that their ratings make."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import Any
from zlib import crc32

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from datasets.models import Dataset, Label, Release, Track, Word

STEPS = ("consent", "background", "sound", "guidelines", "practice")  # the way to the first track, in this order
DEFAULT_TEXTS = {
    "question": _("Which word describes the emotion of this music best?"),
    "consent": _(
        "We keep the words that you choose, how long you listened, and what you tell us about yourself. They are kept under "
        "a pseudonym and may be published under it, with the music, for research. You can stop at any time, see all that is "
        "kept about you, and have your personal data erased."
    ),
    "guidelines": _(
        "Say which emotion the music expresses to you, not whether you like it. There is no right or wrong: your own "
        "impression counts. Listen until you are sure, then choose the word that fits best."
    ),
}


MORE_WHEN_SPLIT = 2


class QuestionnaireQuerySet(models.QuerySet["Questionnaire"]):
    def update(self, **values: Any) -> int:
        """Every edit moves `edited_at`: what is kept in memory of a questionnaire depends on it."""
        return super().update(**{"edited_at": timezone.now()} | values)


class Questionnaire(models.Model):
    """What raters are asked about the tracks of a dataset, the way that leads there, and the rule that settles a label."""

    class Layout(models.TextChoices):
        GROUPS = "groups", _("Grouped by label")
        PLANE = "plane", _("In the plane of valence and arousal")

    class QueueOrder(models.TextChoices):
        SHUFFLED = "shuffled", _("Shuffled")
        UNCERTAIN = "uncertain", _("What the promoted model is least sure of")
        DISPUTED = "disputed", _("What the raters so far are least sure of")

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="questionnaire")
    name = models.CharField(max_length=100)
    is_open = models.BooleanField(default=True)
    # The rule
    raters_per_track = models.PositiveSmallIntegerField(default=5, validators=[MinValueValidator(1), MaxValueValidator(50)])
    threshold = models.FloatField(default=0.5, validators=[MinValueValidator(0), MaxValueValidator(1)])
    fewest_raters = models.PositiveSmallIntegerField(
        "settled from so many on",
        default=0,
        help_text="A track is settled with what it has from so many ratings on, and goes on being rated; 0: when all are in.",
    )
    ask_more_when_split = models.BooleanField(
        "two more raters for a split track", default=False, help_text="A 2-2-1 track gets a sixth and a seventh rating, once."
    )
    unanimous_at = models.PositiveSmallIntegerField(
        "enough when unanimous",
        default=0,
        help_text="So many ratings that all agree settle a track early; 0: never. Must be enough that the others could not change it.",
    )
    # What is asked
    question = models.CharField(max_length=200, blank=True, help_text="Empty: the study's own question, in the rater's language.")
    question_indonesian = models.CharField(max_length=200, blank=True)
    layout = models.CharField("layout of the words", max_length=10, choices=Layout, default=Layout.GROUPS)
    ask_point = models.BooleanField("ask for the exact point in the plane", default=False)
    ask_confidence = models.BooleanField("ask how sure the rater is", default=False)
    ask_known = models.BooleanField("ask whether the rater knows the piece", default=True)
    ask_vocals = models.BooleanField("ask whether it has vocals", default=True)
    show_title = models.BooleanField(default=False, help_text="Off: raters are blind to title and artist, because names bias.")
    # The way there
    with_consent = models.BooleanField("ask for consent", default=True)
    consent = models.TextField(blank=True, help_text="Empty: a text that says what is kept, in the rater's language.")
    consent_indonesian = models.TextField(blank=True)
    with_background = models.BooleanField("background form", default=False)
    with_sound_check = models.BooleanField("sound check", default=True)
    with_headphone_check = models.BooleanField("headphone check, in the sound check", default=False)
    with_guidelines = models.BooleanField("guidelines", default=True)
    guidelines = models.TextField(blank=True, help_text="Empty: a short text in the rater's language.")
    guidelines_indonesian = models.TextField(blank=True)
    with_practice = models.BooleanField("practice on gold tracks", default=False)
    # Evidence and quality
    minimum_s = models.PositiveSmallIntegerField(
        "seconds to listen",
        default=15,
        help_text="At least this long, or the whole track if it is shorter, before a rating is taken.",
    )
    tracks_per_rater = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: as many as there are.")
    gold_every = models.PositiveSmallIntegerField(default=0, help_text="A hidden gold track after so many tracks; 0: none.")
    repeat_every = models.PositiveSmallIntegerField(
        default=0, help_text="A track that the rater has rated before, after so many tracks; 0: none. Repeats never count."
    )
    queue_order = models.CharField(
        "what to rate next",
        max_length=10,
        choices=QueueOrder,
        default=QueueOrder.SHUFFLED,
        help_text="Among tracks that miss as many ratings. Raters see nothing of it.",
    )
    break_minutes = models.PositiveSmallIntegerField(default=25, help_text="Remind gently of a break after this long; 0: never.")
    seed = models.PositiveIntegerField(default=1, help_text="Of the order in which tracks are given out.")
    edited_at = models.DateTimeField(auto_now=True)

    objects = QuestionnaireQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    @property
    def rule(self) -> str:
        words = gettext("%(n)d ratings a track; the most frequent label is kept when its share is above %(threshold)s")
        words %= {"n": self.raters_per_track, "threshold": f"{self.threshold:.0%}"}
        if self.fewest < self.raters_per_track:
            words += gettext("; a track is settled from %(n)d ratings on") % {"n": self.fewest}
        if self.ask_more_when_split:
            words += gettext("; a split track gets %(n)d more") % {"n": MORE_WHEN_SPLIT}
        if self.unanimous_at:
            words += gettext("; %(n)d ratings that all agree are enough") % {"n": self.unanimous_at}
        return words

    @property
    def fewest(self) -> int:
        """Ratings from which on a track is settled."""
        return min(self.fewest_raters or self.raters_per_track, self.raters_per_track)

    @property
    def stages(self) -> tuple[int, ...]:
        """Numbers of ratings at which a track is settled or not."""
        return self.stages_with(self.raters_per_track)

    def stages_with(self, usual: int) -> tuple[int, ...]:
        """The same, if it asked so many raters."""
        return (usual, usual + MORE_WHEN_SPLIT) if self.ask_more_when_split else (usual,)

    def clean(self) -> None:
        """Stopping early must not change what is accepted, only save ratings."""
        n, usual = self.unanimous_at, self.raters_per_track
        if n and not (n <= usual and n > usual / 2 and n / usual > self.threshold):
            least = max(usual // 2 + 1, int(usual * self.threshold) + 1)
            raise ValidationError(
                {
                    "unanimous_at": gettext("At least %(n)d of %(usual)d: fewer could still be outvoted.")
                    % {"n": least, "usual": usual}
                }
            )

    def text(self, name: str) -> str:
        """The question, consent or guidelines in the reader's language: the admin's text, else the studio's."""
        theirs = getattr(self, f"{name}_indonesian") if (get_language() or "").startswith("id") else ""
        return str(theirs or getattr(self, name) or DEFAULT_TEXTS[name])

    @property
    def steps(self) -> list[str]:
        wanted = {
            "consent": self.with_consent, "background": self.with_background, "sound": self.with_sound_check,
            "guidelines": self.with_guidelines, "practice": self.with_practice,
        }  # fmt: skip
        return [step for step in STEPS if wanted[step]]

    def minimum_for(self, duration_s: float) -> float:
        """Seconds that must be heard of a track of this length."""
        return min(float(self.minimum_s), duration_s)


class Question(models.Model):
    """A question of the admin's own, asked beside the words."""

    class Kind(models.TextChoices):
        LIKERT = "likert", _("Five steps, from disagree to agree")
        CHOICE = "choice", _("One of several answers")
        TEXT = "text", _("Free text")

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="questions")
    key = models.SlugField(max_length=30, help_text="Names its column in the table of ratings.")
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.CharField(max_length=300)
    text_indonesian = models.CharField(max_length=300, blank=True)
    options = models.TextField(blank=True, help_text="For a choice: one answer a line.")
    options_indonesian = models.TextField(blank=True, help_text="The same answers in the same order.")
    required = models.BooleanField(default=False)
    order = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["order", "id"]
        constraints = [models.UniqueConstraint(fields=["questionnaire", "key"], name="question_key_unique")]

    def __str__(self) -> str:
        return (self.text_indonesian if (get_language() or "").startswith("id") else "") or self.text

    @property
    def choices(self) -> list[tuple[str, str]]:
        """(stored value, text shown) of each answer; what is stored is the same in every language."""
        if self.kind == self.Kind.LIKERT:
            return [(str(step), str(step)) for step in range(1, 6)]
        values = [line.strip() for line in self.options.splitlines() if line.strip()]
        shown = [line.strip() for line in self.options_indonesian.splitlines() if line.strip()]
        translated = shown if (get_language() or "").startswith("id") and len(shown) == len(values) else values
        return list(zip(values, translated, strict=True))


class Gold(models.Model):
    """A track whose emotion is known: an example in the guidelines, a practice piece, or a hidden check."""

    class Use(models.TextChoices):
        EXAMPLE = "example", _("Example in the guidelines")
        PRACTICE = "practice", _("Practice, with feedback")
        CHECK = "check", _("Hidden check among the tracks")

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="golds")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    word = models.ForeignKey(
        Word, on_delete=models.PROTECT, related_name="+", help_text="The word that fits; its label is what counts."
    )
    use = models.CharField(max_length=10, choices=Use)
    why = models.CharField(max_length=300, blank=True, help_text="Shown with the example, or as feedback.")
    why_indonesian = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["questionnaire", "track"], name="gold_track_unique")]

    def __str__(self) -> str:
        return f"{self.track}: {self.word}"

    def clean(self) -> None:
        """Track and word are those of the questionnaire's own dataset."""
        dataset = self.questionnaire.dataset_id
        if self.track_id and self.track.dataset_id != dataset:
            raise ValidationError({"track": _("Choose a track of the questionnaire's own dataset.")})
        if self.word_id and self.word.label.dataset_id != dataset:
            raise ValidationError({"word": _("Choose a word of the questionnaire's own dataset.")})

    @property
    def reason(self) -> str:
        return (self.why_indonesian if (get_language() or "").startswith("id") else "") or self.why


class Invite(models.Model):
    """A link with which people become raters of one questionnaire."""

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="invites")
    note = models.CharField(max_length=100, blank=True, help_text="For whom it is; raters do not see it.")
    max_uses = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: any number of people.")
    uses = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.note or f"invite {self.pk}"


def _pseudonym() -> str:
    return f"R-{secrets.token_hex(4)}"


def _nonce() -> str:
    return secrets.token_hex(8)


class Rater(models.Model):
    """A rater is known by a pseudonym; the account is the only link to a person (none for imported raters)."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="rater")
    pseudonym = models.CharField(max_length=60, unique=True, default=_pseudonym)
    by_invite = models.BooleanField(default=False, help_text="Rates only the questionnaires that it was invited to.")
    background = models.JSONField(default=dict, blank=True, help_text="Age band, musical training, languages: as far as told.")
    return_nonce = models.CharField(max_length=16, default=_nonce, help_text="Changing it makes the personal return link void.")
    set_aside_from = models.DateTimeField(null=True, blank=True, help_text="Ratings from then on do not count.")
    erased_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.pseudonym

    def is_set_aside_at(self, moment: datetime) -> bool:
        return self.set_aside_from is not None and moment >= self.set_aside_from


class Participation(models.Model):
    """A rater's way through one questionnaire."""

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="participations")
    rater = models.ForeignKey(Rater, on_delete=models.CASCADE, related_name="participations")
    invite = models.ForeignKey(Invite, null=True, on_delete=models.SET_NULL, related_name="participations")
    steps = models.JSONField(default=dict, help_text="{step: when and how it was passed}")
    practice = models.JSONField(default=dict, help_text="{gold: word chosen}; practice is no rating.")
    joined_at = models.DateTimeField(auto_now_add=True)
    nonce = models.CharField(max_length=32, blank=True, help_text="Of the form by which it was joined: sent twice, it joins once.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["questionnaire", "rater"], name="participation_unique"),
            models.UniqueConstraint(fields=["invite", "nonce"], condition=~Q(nonce=""), name="participation_once_a_form"),
        ]

    @property
    def next_step(self) -> str | None:
        """The first step of the way that is not passed yet; None when tracks can be rated."""
        return next((step for step in self.questionnaire.steps if step not in self.steps), None)


class Kind(models.TextChoices):
    """What a slot and its rating are for; only regular ones can count towards a label."""

    REGULAR = "regular", _("Regular")
    GOLD = "gold", _("Gold")
    REPEAT = "repeat", _("Repeat")


class Assignment(models.Model):
    """A reserved slot of a track with a lease; an expired one returns by itself.

    `key` is its public name: random, so that it tells nothing of how many there are.
    """

    class State(models.TextChoices):
        AHEAD = "ahead", _("Reserved ahead")
        OPEN = "open", _("Open")
        RATED = "rated", _("Rated")
        DECLINED = "declined", _("Declined")
        EXPIRED = "expired", _("Expired")

    class Reason(models.TextChoices):
        BROKEN = "broken", _("The audio is broken")
        SILENT = "silent", _("There is only silence")
        NOT_MUSIC = "not_music", _("This is not music")
        OTHER = "other", _("Another reason")

    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="assignments")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    rater = models.ForeignKey(Rater, on_delete=models.CASCADE, related_name="assignments")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.REGULAR)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    shown_at = models.DateTimeField(null=True, help_text="When the page reported the track shown: the clock of listening.")
    draft = models.JSONField(default=dict, help_text="What the rater has chosen and heard so far.")
    undone_key = models.UUIDField(null=True, help_text="The submission that was undone; it cannot come back.")
    reason = models.CharField(max_length=10, choices=Reason, blank=True, help_text="Why it could not be rated.")
    note = models.CharField(max_length=300, blank=True)
    seen_at = models.DateTimeField(null=True, help_text="When a curator has dealt with the reason.")

    class Meta:
        indexes = [
            models.Index(fields=["rater", "questionnaire", "track"]),
            models.Index(fields=["rater", "questionnaire", "-id"]),
            models.Index(fields=["track"], condition=Q(state__in=["open", "ahead"]), name="assignment_live"),
            models.Index(fields=["questionnaire"], condition=Q(state="declined", seen_at=None), name="assignment_reported"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["questionnaire", "rater"], condition=Q(state="open"), name="assignment_one_open"),
            models.UniqueConstraint(fields=["questionnaire", "rater"], condition=Q(state="ahead"), name="assignment_one_ahead"),
            models.UniqueConstraint(
                fields=["questionnaire", "rater", "track"], condition=Q(state__in=["open", "ahead"]), name="assignment_one_a_track"
            ),
        ]

    def __str__(self) -> str:
        return f"assignment {self.pk}"


class Rating(models.Model):
    """What a rater chose for a track, and the evidence of listening that came with it."""

    class NotCounted(models.TextChoices):
        SURPLUS = "surplus", _("Surplus: the track had all its ratings")
        CLOSED = "closed", _("The questionnaire was closed")
        TAKEN_OUT = "taken out", _("The track was taken out")
        SET_ASIDE = "set aside", _("The rater is set aside")
        BEYOND = "beyond", _("Beyond the number of raters that the rule counts")
        SAW = "saw", _("The rater had seen what models say of it")

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="ratings")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="+")
    rater = models.ForeignKey(Rater, on_delete=models.PROTECT, related_name="ratings")
    assignment = models.OneToOneField(Assignment, null=True, on_delete=models.SET_NULL, related_name="rating")
    key = models.UUIDField(null=True, unique=True, help_text="Of the submission: sent twice, it is taken once.")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.REGULAR)
    not_counted = models.CharField(max_length=10, choices=NotCounted, blank=True, help_text="Empty: it counts.")
    word = models.ForeignKey(
        Word, null=True, on_delete=models.PROTECT, related_name="+", help_text="Empty when only the label was imported."
    )
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    valence = models.FloatField(null=True, blank=True)
    arousal = models.FloatField(null=True, blank=True)
    confidence = models.PositiveSmallIntegerField(null=True, blank=True, help_text="1 guessing, 2 fairly sure, 3 certain.")
    known = models.BooleanField(null=True, help_text="The rater knew the piece; empty: not asked.")
    vocals = models.BooleanField(null=True, help_text="The rater heard a voice; empty: not asked.")
    elsewhere = models.BooleanField(default=False, help_text="It was collected elsewhere and came in with a table.")
    answers = models.JSONField(default=dict, blank=True, help_text="{key of a question of the admin's own: answer}")
    # Evidence of listening
    heard_s = models.FloatField(null=True, help_text="Seconds of playing.")
    heard_share = models.FloatField(null=True, help_text="Share of the track that was heard at least once.")
    replays = models.PositiveSmallIntegerField(default=0)
    hidden_s = models.FloatField(default=0, help_text="Seconds during which the page was not in view.")
    elapsed_s = models.FloatField(null=True, help_text="From shown to sent, by the server's clock.")
    rated_at = models.DateTimeField()

    class Meta:
        ordering = ["-rated_at"]
        indexes = [models.Index(fields=["rater", "questionnaire", "rated_at"])]
        constraints = [
            models.UniqueConstraint(fields=["questionnaire", "track", "rater", "kind"], name="rating_once_per_rater"),
        ]

    def __str__(self) -> str:
        return f"rating {self.pk}"


def place_in_queue(seed: int, track_id: int) -> int:
    """Where a track stands among equals: shuffled, the same whenever it is asked, and after those of which more is known."""
    return (1 << 30) + (crc32(f"{seed}:{track_id}".encode()) >> 2)


def place_by_doubt(entropy: float) -> int:
    """The least sure first; entropy in [0, 1]."""
    return round((1 - entropy) * (1 << 30))


COUNTS_OR_WAITS = ("", Rating.NotCounted.BEYOND)  # what a rating may say of itself to be counted by some rule


class Consensus(models.Model):
    """What the ratings of a track say so far. One row a track; it is locked while its ratings change."""

    class State(models.TextChoices):
        OPEN = "open", _("Needs ratings")
        AGREED = "agreed", _("Agreed")
        SPLIT = "split", _("No agreement")
        RULED = "ruled", _("Ruled on by a curator")

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="consensuses")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    target = models.PositiveSmallIntegerField(default=5, help_text="Ratings that the track is to get.")
    asked = models.PositiveSmallIntegerField(default=0, help_text="Ratings that a curator asked for beyond the usual; 0: none did.")
    n_ratings = models.PositiveSmallIntegerField(default=0, help_text="Ratings that count.")
    missing = models.GeneratedField(
        expression=F("target") - F("n_ratings"), output_field=models.SmallIntegerField(), db_persist=True
    )
    position = models.IntegerField(default=0, help_text="Order among tracks that miss as many ratings.")
    votes = models.JSONField(default=dict, help_text="{label: number of raters}")
    agreement = models.FloatField(null=True, help_text="Share of the most frequent label.")
    label = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["track_id"]
        indexes = [
            models.Index(fields=["questionnaire", "state", "n_ratings"]),
            # What is given out next, without the tracks that are done.
            models.Index(
                fields=["questionnaire", "missing", "position"], condition=Q(n_ratings__lt=F("target")), name="consensus_queue"
            ),
        ]
        constraints = [models.UniqueConstraint(fields=["questionnaire", "track"], name="consensus_unique")]

    def __str__(self) -> str:
        return f"consensus on {self.track}"


class Ruling(models.Model):
    """What a curator ruled on a track without agreement. It stands beside the raters' votes, never over them; the latest counts."""

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="rulings")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="rulings")
    label = models.ForeignKey(
        Label, null=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: the ruling was taken back."
    )
    over = models.BooleanField(default=False, help_text="It counts against raters who agree, too.")
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["questionnaire", "track"])]


class Review(models.Model):
    """What a curator did about a track because models disagree with its label. Corrections that a model prompted are counted by these."""

    class Action(models.TextChoices):
        KEEP = "keep", _("Kept")
        MORE = "more", _("Sent back to the raters")
        RULE = "rule", _("Ruled on")
        EXCLUDE = "exclude", _("Left out")

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="reviews")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+", help_text="Whose label was doubted.")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="reviews")
    action = models.CharField(max_length=10, choices=Action)
    label = models.CharField(max_length=30, help_text="The release's, which was doubted.")
    runs = models.JSONField(default=list, help_text="Numbers of the runs that the curator saw.")
    reason = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["release", "track"])]

    def __str__(self) -> str:
        return f"{self.track}: {self.get_action_display()}"
