"""Asking for spectrograms and runs, and writing their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.core.files.base import ContentFile, File
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from datasets import selectors as ground
from datasets.errors import WrongState
from datasets.models import Release, Split, SplitMember, Track
from datasets.services import queue, releases
from datasets.services.audit import record
from datasets.signals import bundle_writing, release_preparing, track_ready
from mer import selectors
from mer.errors import TrainingImpossible
from mer.methods import metrics
from mer.methods.params import NETWORKS, PICTURELESS, SpectrogramParams, TrainingParams
from mer.models import Epoch, Evaluation, FeatureVector, Prediction, Run, Spectrogram, SpectrogramSet

DRAW = "mer.tasks.draw_spectrograms"
TRAIN = "mer.tasks.train_run"
MAX_EPOCHS = 500


@dataclass(frozen=True)
class Round:
    """One training: the part of each sample, and what was predicted for all of them [shape=(n, n_labels)]."""

    parts: Sequence[str]
    probabilities: NDArray[Any]


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


@transaction.atomic
def create_run(
    *,
    release: Release,
    training: TrainingParams,
    spectrograms: SpectrogramParams,
    folds: bool = False,
    members: Sequence[Run] = (),
    by: User | None = None,
    wake_worker: bool = True,
) -> Run:
    """Queue a training run. `members` are finished runs on the same split, for an ensemble of them.

    Raises TrainingImpossible when the release can't train anything, WrongState when the same run is queued or running.
    """
    if training.network not in NETWORKS:
        raise TrainingImpossible(
            _("“%(network)s” is no network; choose one of %(list)s.") % {"network": training.network, "list": ", ".join(NETWORKS)}
        )
    if not 1 <= training.epochs <= MAX_EPOCHS:
        raise TrainingImpossible(
            _("%(epochs)s epochs are not between 1 and %(MAX_EPOCHS)s.") % {"epochs": training.epochs, "MAX_EPOCHS": MAX_EPOCHS}
        )
    if not 0 <= training.seed <= releases.MAX_SEED:
        raise TrainingImpossible(
            _("The seed %(seed)s is not between 0 and %(MAX_SEED)s.") % {"seed": training.seed, "MAX_SEED": releases.MAX_SEED}
        )
    Release.objects.select_for_update().get(pk=release.pk)  # of two equal requests at once, one waits and is refused
    splits = release.splits.order_by("id")
    split = splits.filter(name=releases.FOLDS).first() if folds else splits.first()
    if split is None and folds:
        raise TrainingImpossible(
            _(
                "The release “%(name)s” has no folds: it has fewer than %(n)d artists, or was frozen before there were any. Freeze again."
            )
            % {"name": release.name, "n": releases.N_FOLDS}
        )
    if split is None:
        raise TrainingImpossible(_("The release “%(name)s” has no split.") % {"name": release.name})
    placed = SplitMember.objects.filter(split=split)
    trained = set((placed if folds else placed.filter(part="train")).values_list("item__label", flat=True))
    if len(trained) < 2:
        only = ", ".join(sorted(trained)) or "none"
        raise TrainingImpossible(
            _(
                "The training part of “%(name)s” has one label only (%(only)s): there is nothing to tell apart. Rate more tracks and freeze again."
            )
            % {"name": release.name, "only": only}
        )
    _guard_members(training.network, members, split)
    chosen = sorted(member.pk for member in members)
    drawn = None if training.network in PICTURELESS else spectrogram_set(spectrograms)
    twin = Run.objects.filter(
        split=split,
        spectrogram_set=drawn,
        release=release,
        network=training.network,
        params=training.as_dict(),
        members=chosen,
        job__state__in=["queued", "running"],
    )
    if twin.exists():
        raise WrongState(
            _("The same run of %(network)s on “%(name)s” (seed %(seed)s) is queued or running already.")
            % {"network": training.network, "name": release.name, "seed": training.seed}
        )
    run = Run.objects.create(
        release=release, split=split, spectrogram_set=drawn, network=training.network, params=training.as_dict(),
        members=chosen, release_hash=release.content_hash, created_by=by,
    )  # fmt: skip
    title = f"Train {training.network} on {release.name}" + (f" in {releases.N_FOLDS} folds" if folds else "")
    run.job = queue.enqueue(TRAIN, run, title=title, url=run.get_absolute_url(), by=by, wake_worker=wake_worker)
    run.save(update_fields=["job"])
    record(run, to="queued", actor=by, reason=f"{training.network}, seed {training.seed}")
    return run


def _guard_members(network: str, members: Sequence[Run], split: Split) -> None:
    """Raises TrainingImpossible for runs that can't be averaged."""
    if not members:
        return
    if network != "ensemble":
        raise TrainingImpossible(_("Only an ensemble is made of other runs."))
    if len(members) < 2:
        raise TrainingImpossible(_("An ensemble needs at least two runs."))
    for member in members:
        if member.split_id != split.pk or member.state != "done":
            raise TrainingImpossible(
                _("%(run)s cannot be part of it: the runs of an ensemble are finished, on the same release and split.")
                % {"run": member.name}
            )
        if not member.predictions.filter(part="validation").exists():
            raise TrainingImpossible(
                _("%(run)s was made before the answers on validation tracks were kept: train it again.") % {"run": member.name}
            )


def start_run(run: Run, *, excluded: Sequence[dict[str, Any]], environment: dict[str, Any]) -> None:
    """Begin, or begin again after a dead worker: what an earlier attempt left is removed."""
    with transaction.atomic():
        for related in (run.epochs, run.evaluations, run.predictions):
            related.all().delete()
        run.excluded, run.environment = list(excluded), environment
        run.save(update_fields=["excluded", "environment"])


def add_epoch(run: Run, message: dict[str, Any], *, fold: int = 0) -> None:
    values = {name: message[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy", "seconds")}
    Epoch.objects.update_or_create(run=run, fold=fold, number=message["number"], defaults=values)


def finish_run(
    run: Run,
    *,
    rows: Sequence[selectors.Sample],
    rounds: Sequence[Round],
    labels: list[str],
    best_epoch: int | None,
    network: File[bytes] | None,
) -> None:
    """Write the network's file, then predictions and evaluations of the trained run in one step.

    A run in folds has a network for each fold; they serve its figures and are not kept.
    """
    if network:
        storage = run.network_file.storage
        name = f"networks/run-{run.pk}.{'npz' if run.network in PICTURELESS else 'keras'}"
        storage.delete(name)
        run.network_file.name = storage.save(name, network)
    with transaction.atomic():
        _write_results(run, rows, rounds, labels)
        run.best_epoch = best_epoch
        run.save(update_fields=["network_file", "best_epoch", "one_class"])


def _write_results(run: Run, rows: Sequence[selectors.Sample], rounds: Sequence[Round], labels: list[str]) -> None:
    truth = np.array([labels.index(row.label) for row in rows])
    shares = selectors.vote_shares(rows, labels)
    for part in SplitMember.Part.values:
        if part == "train" and len(rounds) > 1:
            continue  # every track is trained on in several rounds
        places = [(one, np.flatnonzero(np.array(one.parts) == part)) for one in rounds]
        found = np.concatenate([mine for _, mine in places])
        probabilities = np.concatenate([one.probabilities[mine] for one, mine in places])
        majorities = [np.bincount(truth[np.array(one.parts) == "train"]).argmax() for one in rounds]
        majority = np.concatenate([np.full(len(mine), index) for (_, mine), index in zip(places, majorities, strict=True)])
        predicted = probabilities.argmax(axis=1)
        _write_evaluation(run, part, truth[found], predicted, majority, len(labels))
        if len(found):
            groups = [rows[place].group for place in found]
            random = _guessing(rounds, places, truth, len(labels))
            values = metrics.figures(probabilities, truth[found], shares[found], groups, random=random)
            run.evaluations.filter(part=part).update(figures=_without_nan(asdict(values)))
        Prediction.objects.bulk_create(
            Prediction(
                run=run,
                track_id=rows[place].track_id,
                part=part,
                truth=rows[place].label,
                predicted=labels[index],
                probabilities={label: round(float(value), 6) for label, value in zip(labels, values, strict=True)},
            )
            for place, index, values in zip(found, predicted, probabilities, strict=True)
        )
        if part == "test":
            run.one_class = len(set(predicted)) == 1 and len(found) > 1


def _guessing(
    rounds: Sequence[Round], places: Sequence[tuple[Round, NDArray[np.intp]]], truth: NDArray[np.int64], n_labels: int
) -> float:
    """Accuracy to expect of guessing as often as the labels occur in the training part of each round."""
    expected = []
    for one, mine in places:
        counts = np.bincount(truth[np.array(one.parts) == "train"], minlength=n_labels)
        expected += list((counts / counts.sum())[truth[mine]])
    return float(np.mean(expected))


def _without_nan(values: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(values, dict):
        return {name: _without_nan(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return None if isinstance(values, float) and not np.isfinite(values) else values


def _write_evaluation(
    run: Run, part: str, truth: NDArray[np.int64], predicted: NDArray[np.int64], majority: NDArray[np.int64], n_labels: int
) -> None:
    table = metrics.confusion_matrix(truth, predicted, n_labels)
    correct = int(np.trace(table))
    low, high = metrics.wilson_interval(correct, len(truth))
    Evaluation.objects.create(
        run=run, part=part, n=len(truth), n_correct=correct, accuracy=metrics.accuracy(table), low=low, high=high,
        macro_f1=metrics.macro_f1(table), majority=float(np.mean(truth == majority)) if len(truth) else float("nan"),
        confusion=table.tolist(),
    )  # fmt: skip


def _queue_drawing(sender: object, track: Track, **kwargs: object) -> None:
    """A track that becomes ready gets its spectrograms."""
    url = reverse("datasets:track", args=[track.pk])
    queue.enqueue(DRAW, track, title=f"Spectrograms of “{track.title}”", url=url)


def _bundle_spectrograms(sender: object, release: Release, **kwargs: object) -> Iterator[tuple[str, Any]]:
    """Every spectrogram of the release's tracks, for its bundle."""
    for drawn in SpectrogramSet.objects.order_by("input", "recipe"):
        for piece in ground.pieces(release):
            number = dict(release.items.filter(number__range=piece).values_list("track_id", "number"))
            rows = list(drawn.spectrograms.filter(state=Spectrogram.State.OK, track__in=number))
            for row in sorted(rows, key=lambda row: number[row.track_id]):
                yield f"spectrograms/{drawn.input}-{drawn.recipe}/{number[row.track_id]}.png", row.image


def _incomplete(sender: object, tracks: Sequence[int], **kwargs: object) -> dict[int, str]:
    """Tracks that no picture can be made of, with the reason."""
    rows = Spectrogram.objects.filter(state=Spectrogram.State.EXCLUDED, track__in=tracks).order_by("pk")
    return dict(rows.values_list("track_id", "reason"))


def connect() -> None:
    release_preparing.connect(_incomplete, dispatch_uid="mer.incomplete")
    track_ready.connect(_queue_drawing, dispatch_uid="mer.draw")
    bundle_writing.connect(_bundle_spectrograms, dispatch_uid="mer.bundle")
