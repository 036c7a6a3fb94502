"""Asking for runs, and writing their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.core.files.base import File
from django.db import transaction
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from datasets.errors import WrongState
from datasets.models import FOLDS, Release, Split, SplitMember
from datasets.services import queue, releases, signals
from datasets.services.audit import record
from datasets.services.queue import Ticket
from datasets.services.signals import Said, write_signals
from mer import selectors
from mer.errors import TrainingImpossible
from mer.methods import metrics
from mer.methods.params import NETWORKS, PICTURELESS, SpectrogramParams, TrainingParams
from mer.methods.spectrograms import overlay
from mer.models import Epoch, Evaluation, Prediction, Run
from mer.services import inputs

TRAIN = "mer.tasks.train_run"
MAX_EPOCHS = 500
MOST_DRAWS = 20
MOST_SEEDS = 20
FEWEST_ANSWERS = 4  # fewer that are alike say nothing


@dataclass(frozen=True)
class Round:
    """One training: the part of each sample, and what was predicted for all of them [shape=(n, n_labels)].

    why, pictures : by the number of a sample, of some that were not learned from: what spoke for the answer, where the network looked."""

    parts: Sequence[str]
    probabilities: NDArray[Any]
    why: Mapping[int, Sequence[tuple[str, float]]] = field(default_factory=dict)
    pictures: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)


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
    _guard_shape(training)
    # Whatever is trained again is trained on the layers of today.
    training = replace(training, version=TrainingParams.of(training.network).version)
    if not 1 <= training.draw <= MOST_DRAWS or (training.draw > 1 and not folds):
        raise TrainingImpossible(
            _("Drawing %(draw)s of the folds: it must be between 1 and %(most)s, and 1 without folds.")
            % {"draw": training.draw, "most": MOST_DRAWS}
        )
    Release.objects.select_for_update().get(pk=release.pk)  # of two equal requests at once, one waits and is refused
    splits = release.splits.order_by("id")
    split = splits.filter(name__endswith=FOLDS).first() if folds else splits.first()
    if split is None and folds:
        raise TrainingImpossible(
            _(
                "The release “%(name)s” has no folds: it has fewer artists than folds were asked for, or was frozen before there were any. Freeze again."
            )
            % {"name": release.name}
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
    members = list({member.pk: member for member in members}.values())
    _guard_members(training, members, split)
    chosen = sorted(member.pk for member in members)
    drawn = None if training.network in PICTURELESS else inputs.spectrogram_set(spectrograms)
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
    title = f"Train {training.network} on {release.name}" + (f" in {split.name}" if folds else "")
    title += f" (drawing {training.draw})" if training.draw > 1 else ""
    run.job = queue.enqueue(TRAIN, run, title=title, url=run.get_absolute_url(), by=by, wake_worker=wake_worker)
    run.save(update_fields=["job"])
    record(run, to="queued", actor=by, reason=f"{training.network}, seed {training.seed}")
    return run


@transaction.atomic
def create_runs(
    *, n_draws: int = 1, n_seeds: int = 1, release: Release, training: TrainingParams, spectrograms: SpectrogramParams,
    folds: bool = False, members: Sequence[Run] = (), by: User | None = None, wake_worker: bool = True,
) -> list[Run]:  # fmt: skip
    """The same training on `n_draws` drawings of the folds and with `n_seeds` seeds, from those of `training` on: all are queued, or none."""
    for n, most in ((n_draws, MOST_DRAWS), (n_seeds, MOST_SEEDS)):
        if not 1 <= n <= most:
            raise TrainingImpossible(_("%(n)s runs of the same kind: it must be 1 to %(most)s.") % {"n": n, "most": most})
    if n_draws > 1 and not folds:
        raise TrainingImpossible(_("Only folds can be drawn several times: train in folds, or ask for one drawing."))
    return [
        create_run(
            release=release, training=replace(training, seed=training.seed + seed, draw=training.draw + draw),
            spectrograms=spectrograms, folds=folds, members=members, by=by, wake_worker=wake_worker,
        )
        for draw in range(n_draws)
        for seed in range(n_seeds)
    ]  # fmt: skip


MOST_DEPTH = {"cnn": 4, "crnn": 4}


def _guard_shape(training: TrainingParams) -> None:
    """Raises TrainingImpossible for a shape that the network cannot have."""
    deepest = MOST_DEPTH.get(training.network)
    if deepest is None and (training.depth is not None or training.width is not None):
        raise TrainingImpossible(_("Depth and width are for the paper's networks: %(list)s.") % {"list": ", ".join(MOST_DEPTH)})
    if training.depth is not None and deepest and not 1 <= training.depth <= deepest:
        raise TrainingImpossible(
            _("A depth of %(depth)s is not between 1 and %(most)s for %(network)s.")
            % {"depth": training.depth, "most": deepest, "network": training.network}
        )
    if training.width is not None and not 0.05 <= training.width <= 4:
        raise TrainingImpossible(_("A width of %(width)s is not between 0.05 and 4.") % {"width": training.width})
    if not 1 <= training.batch_size <= 1024 or not 0 < training.learning_rate <= 1:
        raise TrainingImpossible(
            _("%(batch)s pictures at a time and a learning rate of %(rate)s: it must be 1 to 1024, and above 0 up to 1.")
            % {"batch": training.batch_size, "rate": training.learning_rate}
        )
    if not 0 <= training.dropout < 1:
        raise TrainingImpossible(_("A dropout of %(dropout)s is not from 0 to below 1.") % {"dropout": training.dropout})
    if not 0 <= training.mixup <= 10:
        raise TrainingImpossible(_("A mixup of %(mixup)s is not between 0 and 10.") % {"mixup": training.mixup})


def _guard_members(training: TrainingParams, members: Sequence[Run], split: Split) -> None:
    """Raises TrainingImpossible for runs that can't be averaged."""
    if not members:
        return
    if training.network != "ensemble":
        raise TrainingImpossible(_("Only an ensemble is made of other runs."))
    if len(members) < 2:
        raise TrainingImpossible(_("An ensemble needs at least two runs."))
    if training.shuffle_labels or any(member.is_control for member in members):
        raise TrainingImpossible(
            _("A control learns from shuffled labels itself: it is no ensemble of other runs, and no part of one.")
        )
    for member in members:
        if member.split_id != split.pk or member.draw != training.draw or member.state != "done":
            raise TrainingImpossible(
                _("%(run)s cannot be part of it: the runs of an ensemble are finished, on the same release and split.")
                % {"run": member.name}
            )
        if not member.predictions.filter(part="validation").exists():
            raise TrainingImpossible(
                _("%(run)s was made before the answers on validation tracks were kept: train it again.") % {"run": member.name}
            )


def start_run(run: Run, *, ticket: Ticket, excluded: Sequence[dict[str, Any]], environment: dict[str, Any]) -> None:
    """Begin, or begin again after a dead worker: what an earlier attempt left is removed."""
    with ticket.writing():
        # The epochs of folds stay, until it is known which of them are trained again.
        for related in (run.epochs.filter(fold=0), run.evaluations, run.predictions):
            related.all().delete()
        run.excluded, run.environment = list(excluded), environment
        run.save(update_fields=["excluded", "environment"])


def note_opened(shown: Iterable[Run], *, by: User | None) -> None:
    """Somebody reads the test figures of these runs, of those that have any."""
    signals.note_opened([run.pk for run in shown if selectors.evaluation(run, "test")], by=by)


def describe(run: Run, *, n_weights: int, **environment: str) -> None:
    """What only the training knows of its network."""
    run.n_weights, run.environment = n_weights, run.environment | environment
    run.save(update_fields=["n_weights", "environment"])


def add_epoch(run: Run, message: dict[str, Any], *, fold: int = 0) -> None:
    values = {name: message[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy", "seconds")}
    Epoch.objects.update_or_create(run=run, fold=fold, number=message["number"], defaults=values)


def finish_run(
    run: Run,
    *,
    ticket: Ticket,
    rows: Sequence[selectors.Sample],
    rounds: Sequence[Round],
    labels: list[str],
    best_epoch: int | None,
    network: File[bytes] | None,
) -> None:
    """Write the network's file, then predictions and evaluations of the trained run in one step.

    A run in folds has a network for each fold; they serve its figures and are not kept.
    """
    name = f"networks/run-{run.pk}.{'npz' if run.network in PICTURELESS else 'keras'}"
    with ticket.storing(run.network_file, name, network) if network else ticket.writing():
        _write_results(run, rows, rounds, labels)
        if not run.is_control:
            write_signals(run.release, _said(rows, rounds, labels), run=run.pk, run_name=run.name)
        run.best_epoch = best_epoch
        run.save(update_fields=["network_file", "best_epoch", "one_class"])


def _said(rows: Sequence[selectors.Sample], rounds: Sequence[Round], labels: list[str]) -> list[Said]:
    """What the run says of each track that it did not learn from: of a round in folds the test part, else the validation part too."""
    parts = ("test",) if len(rounds) > 1 else ("validation", "test")
    return [
        Said(
            row.track_id, one.parts[place], row.label, named(labels, one.probabilities[place]), one.why.get(place, ()),
            overlay(one.pictures[place]) if place in one.pictures else None,
        )
        for one in rounds
        for place, row in enumerate(rows)
        if one.parts[place] in parts
    ]  # fmt: skip


def named(labels: Sequence[str], values: NDArray[Any]) -> dict[str, float]:
    return {label: round(float(value), 6) for label, value in zip(labels, values, strict=True)}


def _write_results(run: Run, rows: Sequence[selectors.Sample], rounds: Sequence[Round], labels: list[str]) -> None:
    truth = np.array([labels.index(row.label) for row in rows])
    shares = selectors.vote_shares(rows, labels)
    for part in SplitMember.Part.values:
        if part == "train" and len(rounds) > 1:
            continue  # every track is trained on in several rounds
        places = [(one, np.flatnonzero(np.array(one.parts) == part)) for one in rounds]
        found = np.concatenate([mine for _, mine in places])
        probabilities = np.concatenate([one.probabilities[mine] for one, mine in places])
        taught = [truth[[run.learned_from(mine, part) for mine in one.parts]] for one in rounds]
        majorities = [np.bincount(learned).argmax() for learned in taught]
        majority = np.concatenate([np.full(len(mine), index) for (_, mine), index in zip(places, majorities, strict=True)])
        predicted = probabilities.argmax(axis=1)
        groups = [rows[place].group for place in found]
        random = _guessing(taught, [truth[mine] for _, mine in places], len(labels))
        figures = metrics.figures(probabilities, truth[found], shares[found], groups, random=random)
        _write_evaluation(run, part, truth[found], predicted, majority, figures, len(labels))
        Prediction.objects.bulk_create(
            Prediction(
                run=run,
                track_id=rows[place].track_id,
                part=part,
                truth=rows[place].label,
                predicted=labels[index],
                probabilities=named(labels, values),
            )
            for place, index, values in zip(found, predicted, probabilities, strict=True)
        )
        if part == "test":
            others = [one.probabilities[np.array(one.parts) != "train"].argmax(axis=1) for one in rounds]
            run.one_class = any(len(set(answers)) == 1 and len(answers) >= FEWEST_ANSWERS for answers in others)


def _guessing(taught: Sequence[NDArray[np.int64]], tested: Sequence[NDArray[np.int64]], n_labels: int) -> float:
    """Accuracy to expect of guessing as often as the labels occur among what was learned from in each round."""
    expected: list[float] = []
    for learned, truth in zip(taught, tested, strict=True):
        counts = np.bincount(learned, minlength=n_labels)
        expected += list((counts / counts.sum())[truth])
    return float(np.mean(expected))


def _write_evaluation(
    run: Run, part: str, truth: NDArray[np.int64], predicted: NDArray[np.int64], majority: NDArray[np.int64],
    figures: metrics.Figures, n_labels: int,
) -> None:  # fmt: skip
    table, accuracy = metrics.confusion_matrix(truth, predicted, n_labels), figures.accuracy
    Evaluation.objects.create(
        run=run, part=part, n=len(truth), n_correct=int(np.trace(table)), accuracy=accuracy.value, low=accuracy.low, high=accuracy.high,
        macro_f1=metrics.macro_f1(table), majority=float(np.mean(truth == majority)), confusion=table.tolist(),
        figures=metrics.without_nan(asdict(figures))
        | {"majority_f1": metrics.macro_f1(metrics.confusion_matrix(truth, majority, n_labels))},
    )  # fmt: skip
