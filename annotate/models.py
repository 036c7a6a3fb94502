"""Questionnaires, the raters who answer them, and the consensus that their ratings make."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from datasets.models import Dataset, Label, Track, Word


class Questionnaire(models.Model):
    """What raters are asked about the tracks of a dataset, and the rule that settles a label."""

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="questionnaire")
    name = models.CharField(max_length=100)
    question = models.CharField(max_length=200, default="Which word describes the emotion of this music best?")
    raters_per_track = models.PositiveSmallIntegerField(default=5, validators=[MinValueValidator(1), MaxValueValidator(50)])
    threshold = models.FloatField(default=0.5, validators=[MinValueValidator(0), MaxValueValidator(1)])
    is_open = models.BooleanField(default=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    @property
    def rule(self) -> str:
        return (
            f"{self.raters_per_track} ratings a track; the most frequent label is kept when its share is above {self.threshold:.0%}"
        )


def _pseudonym() -> str:
    return f"R-{secrets.token_hex(4)}"


class Rater(models.Model):
    """A rater is known by a pseudonym; the account is the only link to a person (none for imported raters)."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="rater")
    pseudonym = models.CharField(max_length=60, unique=True, default=_pseudonym)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.pseudonym


class Assignment(models.Model):
    """A reserved slot of a track with a lease; an expired one returns by itself."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        RATED = "rated", "Rated"
        EXPIRED = "expired", "Expired"

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="assignments")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    rater = models.ForeignKey(Rater, on_delete=models.CASCADE, related_name="assignments")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["questionnaire", "state", "expires_at"])]
        constraints = [
            models.UniqueConstraint(fields=["questionnaire", "rater"], condition=Q(state="open"), name="assignment_one_open"),
        ]

    def __str__(self) -> str:
        return f"assignment {self.pk}"


class Rating(models.Model):
    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="ratings")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="+")
    rater = models.ForeignKey(Rater, on_delete=models.PROTECT, related_name="ratings")
    word = models.ForeignKey(
        Word, null=True, on_delete=models.PROTECT, related_name="+", help_text="Empty when only the label was imported."
    )
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    valence = models.FloatField(null=True, blank=True)
    arousal = models.FloatField(null=True, blank=True)
    rated_at = models.DateTimeField()

    class Meta:
        ordering = ["-rated_at"]
        constraints = [models.UniqueConstraint(fields=["questionnaire", "track", "rater"], name="rating_once_per_rater")]

    def __str__(self) -> str:
        return f"rating {self.pk}"


class Consensus(models.Model):
    """What the ratings of a track say so far. One row a track; it is locked while its ratings change."""

    class State(models.TextChoices):
        OPEN = "open", "Needs ratings"
        AGREED = "agreed", "Agreed"
        SPLIT = "split", "No agreement"

    questionnaire = models.ForeignKey(Questionnaire, on_delete=models.CASCADE, related_name="consensuses")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    n_ratings = models.PositiveSmallIntegerField(default=0)
    votes = models.JSONField(default=dict, help_text="{label: number of raters}")
    agreement = models.FloatField(null=True, help_text="Share of the most frequent label.")
    label = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["track_id"]
        indexes = [models.Index(fields=["questionnaire", "state", "n_ratings"])]
        constraints = [models.UniqueConstraint(fields=["questionnaire", "track"], name="consensus_unique")]

    def __str__(self) -> str:
        return f"consensus on {self.track}"
