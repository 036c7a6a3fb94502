"""Spectrograms of tracks, and runs of networks on frozen releases."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from datasets.models import FOLDS, Dataset, Job, Release, Split, SplitMember, Track
from mer.methods import params


class SpectrogramSet(models.Model):
    """One choice of input and recipe with all its constants: its spectrograms can be made again from this row."""

    input = models.CharField(max_length=10, choices=list(params.names_of(params.INPUTS).items()))
    recipe = models.CharField(max_length=10, choices=list(params.names_of(params.RECIPES).items()))
    params = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["input", "recipe"], name="spectrogram_set_unique")]

    def __str__(self) -> str:
        return f"{self.input}, {self.recipe}"


def _png_path(spectrogram: Spectrogram, filename: str) -> str:
    return f"spectrograms/{spectrogram.set_id}/{spectrogram.track_id % 1000:03d}/{spectrogram.track.token}.{filename}"


class Spectrogram(models.Model):
    class State(models.TextChoices):
        OK = "ok", _("Made")
        EXCLUDED = "excluded", _("Excluded")

    set = models.ForeignKey(SpectrogramSet, on_delete=models.CASCADE, related_name="spectrograms")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State)
    reason = models.TextField(blank=True)
    image = models.FileField(upload_to=_png_path, max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["set", "track"], name="spectrogram_unique")]


class FeatureVector(models.Model):
    """What `methods.features` measures of a track or `methods.musicnn` hears in it, or the reason why they can't; kept, because every run
    on them needs it."""

    class Kind(models.TextChoices):
        FEATURES = "features", _("Hand-made features")
        TRANSFER = "transfer", _("MusiCNN embedding")
        MEL = "mel", _("Mel means")

    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.FEATURES, help_text="The network that learns from it.")
    version = models.PositiveSmallIntegerField(help_text="Of the method; another one is measured anew.")
    values = models.JSONField(default=dict, help_text="{name: number}")
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["track", "kind"], name="feature_vector_unique")]

    def __str__(self) -> str:
        return f"{self.kind} of track {self.track_id}"


def network_choices() -> list[tuple[str, Any]]:
    """Asked for, not written down: a new network needs no migration."""
    return [(network, _(words)) for network, words in params.NETWORKS.items()]


class Run(models.Model):
    """One network trained once on one release. Its state is its job's."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="runs")
    split = models.ForeignKey(Split, on_delete=models.PROTECT, related_name="+")
    spectrogram_set = models.ForeignKey(
        SpectrogramSet,
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty: it hears the recordings themselves.",
    )
    network = models.CharField(max_length=20, choices=network_choices)
    params = models.JSONField(help_text="Every hyperparameter, the seed included.")
    release_hash = models.CharField(max_length=64)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    members = models.JSONField(
        default=list, blank=True, help_text="Numbers of the runs that an ensemble averages; empty: its own two."
    )
    n_weights = models.BigIntegerField(null=True)
    best_epoch = models.PositiveIntegerField(null=True)
    excluded = models.JSONField(default=list, help_text="[{track, title, reason}]: items of the release without a spectrogram.")
    environment = models.JSONField(default=dict, help_text="Host, package versions and git commit of the training.")
    one_class = models.BooleanField(
        default=False, help_text="It, or the network of a fold, answers the same label for every track that it did not learn from."
    )
    notes = models.TextField(blank=True, max_length=5000)
    network_file = models.FileField(upload_to="networks/", max_length=200, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"run {self.pk}: {self.network} on {self.release.name}"

    def get_absolute_url(self) -> str:
        return reverse("mer:run", args=[self.pk])

    @property
    def name(self) -> str:
        control = gettext("control")
        return f"{self.network} #{self.pk}" + (f" ({control})" if self.is_control else "")

    @property
    def is_control(self) -> bool:
        """It learned from shuffled labels, to see what chance gives."""
        return bool(self.params.get("shuffle_labels"))

    @property
    def can_predict(self) -> bool:
        """Whether it is finished and keeps a model, or is the mean of runs that do."""
        return self.state == "done" and bool(self.network_file or self.members)

    @cached_property
    def has_epochs(self) -> bool:
        """Whether validation tracks choose its epoch, or that of a run it averages; the others learn from them too before they meet the test part."""
        if self.members:
            return any(run.has_epochs for run in Run.objects.filter(pk__in=self.members))
        return self.network not in params.PICTURELESS

    def learned_from(self, part: str, tested: str) -> bool:
        """Whether the model that meets the part `tested` learned from this one."""
        return part == "train" or (part == "validation" and tested == "test" and not self.has_epochs)

    @property
    def in_folds(self) -> bool:
        """Whether every track is tested once, by a model that was trained without its fold."""
        return bool(self.split.name.endswith(FOLDS))

    @property
    def collapse(self) -> str:
        """What lists say beside the name of a run that tells nothing apart, or not in every fold."""
        if not self.one_class:
            return ""
        return gettext("one class only in a fold") if self.in_folds else gettext("one class only")

    @property
    def n_torn(self) -> int:
        """Artists, or recordings kept together, of whom this split has tracks in two parts."""
        if self.draw > 1:
            return 0  # drawn for this release alone
        return len(self.release.leakage.get("groups_in_two_folds" if self.in_folds else "groups_in_two_parts", []))

    @property
    def input_in_words(self) -> str:
        words = str(self.spectrogram_set or gettext("whole song"))
        if self.members:
            words = gettext("mean of %(runs)s") % {"runs": ", ".join(f"#{pk}" for pk in self.members)}
        if not self.in_folds:
            return words
        folds = gettext("folds (drawing %(n)d)") % {"n": self.draw} if self.draw > 1 else gettext("folds")
        return f"{words}, {folds}"

    @property
    def state(self) -> str:
        return self.job.state if self.job else ""

    @property
    def seconds(self) -> float | None:
        """From its start to its end, waiting for what it learned from included."""
        job = self.job
        return (job.finished_at - job.started_at).total_seconds() if job and job.started_at and job.finished_at else None

    @property
    def seed(self) -> int:
        return int(self.params["seed"])

    @property
    def draw(self) -> int:
        """Which drawing of the folds."""
        return int(self.params.get("draw", 1))


class Fold(models.Model):
    """One training of a run in folds: any worker may do it."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="folds")
    number = models.PositiveSmallIntegerField(help_text="From 1.")
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    inputs = models.CharField(max_length=64, blank=True, help_text="SHA-256 over all that it was trained from.")
    facts = models.JSONField(default=dict, help_text="Host, precision, number of weights and best epoch of the training.")
    results = models.FileField(upload_to="folds/", max_length=200, blank=True, help_text="Until the run is finished.")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="fold_unique")]

    def __str__(self) -> str:
        return f"fold {self.number} of run {self.run_id}"


class Promotion(models.Model):
    """The run that a dataset goes by: the latest row counts, the others are its history."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="promotions", help_text="Empty: none any more.")
    reason = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.run or 'none'} for {self.dataset}"


class LearningCurve(models.Model):
    """How good a linear model becomes with more labels: tracks taken at random, or those first that it is least sure of."""

    release = models.OneToOneField(Release, on_delete=models.CASCADE, related_name="learning_curve")
    network = models.CharField(max_length=20, default="features")
    seed = models.PositiveBigIntegerField(default=1)
    n_test = models.PositiveIntegerField(null=True)
    points = models.JSONField(
        default=list, help_text="[{order, n, accuracy, low, high}]: means over draws, 95% intervals from draws of whole groups."
    )
    gain = models.JSONField(
        default=dict, help_text="Mean difference of the orders, with its 95% interval from draws of whole groups."
    )
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"learning curve on {self.release}"


def _heard_path(inference: Inference, filename: str) -> str:
    return f"inferences/{secrets.token_urlsafe(12)}"


class Inference(models.Model):
    """What a run says of one recording: a track, or a file that was sent to be heard."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="inferences")
    track = models.ForeignKey(Track, null=True, on_delete=models.CASCADE, related_name="+")
    filename = models.CharField(max_length=300, blank=True)
    file = models.FileField(upload_to=_heard_path, max_length=200, blank=True, help_text="Kept until it is heard.")
    label = models.CharField(max_length=30, blank=True)
    probabilities = models.JSONField(default=dict)
    windows = models.JSONField(default=list, help_text="[[begins at second, ends at second, {label: probability}]]")
    peaks = models.JSONField(default=list, help_text="Of the waveform, as of a track's.")
    duration_s = models.FloatField(null=True)
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("mer:inference", args=[self.pk])

    @property
    def name(self) -> str:
        return self.track.title if self.track else self.filename


class Refusal(models.Model):
    """A track of the dataset that a promoted run could not hear, and why: it is not asked again."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="refusals")
    track = models.ForeignKey(Track, on_delete=models.CASCADE, related_name="+")
    reason = models.CharField(max_length=300)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "track"], name="refusal_unique")]

    def __str__(self) -> str:
        return f"track {self.track_id} for {self.run_id}: {self.reason}"


class Epoch(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="epochs")
    fold = models.PositiveSmallIntegerField(default=0, help_text="0: a hold-out split.")
    number = models.PositiveIntegerField()
    loss = models.FloatField()
    accuracy = models.FloatField()
    val_loss = models.FloatField()
    val_accuracy = models.FloatField()
    seconds = models.FloatField()

    class Meta:
        ordering = ["fold", "number"]
        constraints = [models.UniqueConstraint(fields=["run", "fold", "number"], name="epoch_of_fold_unique")]


class Evaluation(models.Model):
    """A run's figures on one part; the test part is read once, when training is over."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="evaluations")
    part = models.CharField(max_length=10, choices=SplitMember.Part)
    n = models.PositiveIntegerField()
    n_correct = models.PositiveIntegerField()
    accuracy = models.FloatField()
    low = models.FloatField(help_text="95% interval from draws of whole groups.")
    high = models.FloatField()
    macro_f1 = models.FloatField()
    majority = models.FloatField(help_text="Accuracy of always answering the most frequent label of what was learned from.")
    confusion = models.JSONField(help_text="Rows are truth, columns prediction, in label order.")
    figures = models.JSONField(default=dict, help_text="`methods.metrics.Figures`: all with intervals bootstrapped over groups.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "part"], name="evaluation_unique")]

    @property
    def f1_interval(self) -> tuple[float, float] | None:
        """95%, of macro-F1; None where no draw of groups differs from another."""
        found = self.figures.get("macro_f1") or {}
        return (found["low"], found["high"]) if found.get("low") is not None and found.get("high") is not None else None

    @property
    def f1_in_words(self) -> str:
        return "–" if self.f1_interval is None else "{:.3f} to {:.3f}".format(*self.f1_interval)

    @property
    def majority_f1(self) -> float | None:
        """Macro-F1 of always answering the most frequent label of what was learned from; None for runs from before it was kept."""
        found: float | None = self.figures.get("majority_f1")
        return found

    @property
    def majority_f1_in_words(self) -> str:
        return "–" if self.majority_f1 is None else f"{self.majority_f1:.3f}"

    @property
    def random_in_words(self) -> str:
        return "–" if self.random is None else f"{self.random:.1%}"

    @property
    def random(self) -> float | None:
        """Accuracy of guessing as often as the labels occur among what was learned from."""
        found: float | None = self.figures.get("random")
        return found


class Prediction(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="predictions")
    track = models.ForeignKey(Track, on_delete=models.PROTECT, related_name="+")
    part = models.CharField(max_length=10, choices=SplitMember.Part)
    truth = models.CharField(max_length=30)
    predicted = models.CharField(max_length=30)
    probabilities = models.JSONField(help_text="{label: probability}")

    class Meta:
        ordering = ["track_id", "part"]
        # In folds a track is in the validation part of one round and in the test part of another.
        constraints = [models.UniqueConstraint(fields=["run", "track", "part"], name="prediction_unique")]

    @property
    def is_right(self) -> bool:
        return self.truth == self.predicted
