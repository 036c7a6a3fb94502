"""The whole story of each piece of heavy work of this app; callable from a worker, a command, a shell or a test."""

import importlib.metadata
import json
import os
import platform
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from django.conf import settings
from django.core.files import File

from datasets import selectors as tracks
from datasets.errors import JobInterrupted, JobTakenOver
from datasets.methods import audio
from datasets.methods.audio import read_wav
from datasets.models import Job, Track
from datasets.services import queue
from datasets.services.queue import Ticket
from mer import rounds, selectors
from mer.errors import PredictionImpossible, SpectrogramImpossible, TrainingImpossible
from mer.methods import curves, features, musicnn
from mer.methods.params import ENSEMBLE, RECIPES, SpectrogramParams
from mer.models import FeatureVector, Fold, Inference, LearningCurve, Run, SpectrogramSet
from mer.services import folds, inferences, inputs, runs
from mer.services.curves import store_curve

PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "numpy", "scipy", "librosa")


def draw_spectrograms(ticket: Ticket) -> None:
    """The spectrogram of one track in every recipe, or the reason why there is none."""
    track = Track.objects.get(pk=ticket.job.subject_id)
    inputs.draw_track(track, [inputs.spectrogram_set(SpectrogramParams(recipe=recipe)) for recipe in RECIPES])


def train_run(ticket: Ticket) -> None:
    """What is missing of the inputs, then one training, or one a fold, then predictions and figures."""
    queue.remove_work_folders()  # a machine that trains alone has nobody else who does
    run = Run.objects.select_related("release__dataset", "split", "spectrogram_set").get(pk=ticket.job.subject_id)
    if run.evaluations.exists():
        folds.forget_results(run)
        return  # a worker died between the result and the end of the job: nothing is left to do
    labels = list(run.release.labels)
    if run.spectrogram_set:
        reasons = _draw_missing(ticket, run, run.spectrogram_set)
    else:
        reasons = selectors.not_in_all(run) if run.members else _measure_features(ticket, run)
    samples = selectors.samples_of(run)
    usable = [sample for sample in samples if sample.track_id not in reasons]
    excluded = [
        {"track": row.track_id, "title": row.title, "reason": reasons[row.track_id]} for row in samples if row not in usable
    ]
    runs.start_run(run, ticket=ticket, excluded=excluded, environment=environment())
    plans = selectors.rounds_of(run, usable)
    _guard_usable(run, samples, usable, excluded)
    for parts in plans:
        _guard(usable, parts, labels, len(excluded), in_folds=run.in_folds)
    with queue.work_folder(ticket) as folder:
        best_epoch: int | None = None
        network: Path | None = None
        if run.members:
            found = [runs.Round(parts, selectors.mean_of_members(run, usable, parts, labels)) for parts in plans]
        elif run.spectrogram_set is None:
            found, network = _fit_linear(ticket, run, folder, usable, plans, labels)
        elif run.in_folds:
            found = _train_folds(ticket, run, usable, plans, labels)
        else:
            given = rounds.inputs_of(run, usable, plans, labels)[0]
            trained = rounds.train(rounds.Stretch(ticket, DRAWN, TRAINED), run, folder / "round", given)
            runs.describe(run, n_weights=trained.n_weights, precision=trained.precision)
            best_epoch, network = trained.best_epoch, folder / "round" / "network.keras"
            found = [runs.Round(plans[0], trained.probabilities, pictures=trained.pictures)]
        ticket.progress(0.99, "Storing the results", even=False, force=True)
        with ExitStack() as stack:
            kept = File(stack.enter_context(network.open("rb"))) if network and len(plans) == 1 else None
            runs.finish_run(run, ticket=ticket, rows=usable, rounds=found, labels=labels, best_epoch=best_epoch, network=kept)
        folds.forget_results(run)


def infer(ticket: Ticket) -> None:
    """What a run says of one recording, window by window."""
    asked = Inference.objects.select_related("run__release", "track").get(pk=ticket.job.subject_id)
    if asked.label:
        return
    inferences.guard_model(asked.run)
    with tempfile.TemporaryDirectory(prefix="infer-", dir=settings.WORK_DIR) as name:
        folder = Path(name)
        heard, wav = folder / "heard", folder / "track.wav"
        source = asked.file if asked.file else None
        if asked.track:
            stored = tracks.wav_of(asked.track)
            source = stored.file if stored else None
        if not source:
            raise PredictionImpossible("The recording is not there any more: send it again.")
        with source.open("rb") as file, heard.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        ticket.progress(0.2, "Reading the recording", even=False, force=True)
        audio.convert(heard, wav, max_duration_s=settings.TRACK_MAX_MINUTES * 60)
        ticket.progress(0.4, "Starting the model", even=False, force=True)
        answer = next(_answers(ticket, asked.run, [wav]))
        if "refused" in answer:
            raise PredictionImpossible(answer["refused"])
        measured = audio.measure(wav)
        inferences.finish(asked, answer, peaks=measured.peaks, duration_s=audio.wav_duration(wav))


AT_ONCE = 25  # recordings for which the model is loaded once


def hear_unrated(ticket: Ticket) -> None:
    """What a promoted run says of the tracks of its dataset that are not in its release; nothing, once another one is promoted."""
    run = Run.objects.select_related("release__dataset").get(pk=ticket.job.subject_id)
    if selectors.promoted(run.release.dataset) != run:
        return
    waiting = list(selectors.unheard(run))
    for start in range(0, len(waiting), AT_ONCE):
        with tempfile.TemporaryDirectory(prefix="hear-", dir=settings.WORK_DIR) as name:
            paths: dict[str, int] = {}
            for track in waiting[start : start + AT_ONCE]:
                if stored := tracks.wav_of(track):
                    path = Path(name, f"{track.pk}.wav")
                    with stored.file.open("rb") as file, path.open("wb") as copy:
                        shutil.copyfileobj(file, copy, 1 << 20)
                    paths[str(path)] = track.pk
            answers, refused = {}, {}
            for number, answer in enumerate(_answers(ticket, run, [Path(path) for path in paths]), start + 1):
                if "refused" in answer:
                    refused[paths[answer["file"]]] = answer["refused"]
                else:
                    answers[paths[answer["file"]]] = answer["probabilities"]
                ticket.progress(number / len(waiting), f"Track {number} of {len(waiting)}")
        inferences.write_heard(run, answers, refused)


def _answers(ticket: Ticket, run: Run, paths: list[Path]) -> Iterator[dict[str, Any]]:
    """One a recording, from a process of its own: TensorFlow hangs after a fork, and its memory goes with the process."""
    if not paths:
        return
    command = [sys.executable, "manage.py", "predict", str(run.pk), "--each", *map(str, paths)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
        try:
            assert process.stdout is not None
            n = 0
            while n < len(paths):
                ready, _, _ = select.select([process.stdout], [], [], 1.0)
                if not ready:
                    ticket.check()
                    continue
                line = process.stdout.readline()
                if not line:
                    errors.seek(0)
                    said = errors.read().decode(errors="replace").strip().splitlines()
                    raise PredictionImpossible(f"The model ended without an answer: {said[-1][:300] if said else 'no message'}")
                if line.startswith(b"{"):
                    n += 1
                    yield json.loads(line)
        finally:
            process.kill()
            process.wait()


def learning_curve(ticket: Ticket) -> None:
    """The learning curve of a release, with the features of every track that has some."""
    row = LearningCurve.objects.select_related("release__dataset").get(pk=ticket.job.subject_id)
    kind, release = "features", row.release
    missing = selectors.tracks_without_features(release, kind)
    for number, track in enumerate(missing, 1):
        with MEASURES[kind]() as measure:
            measure_track(track, kind, measure)
        ticket.progress(0.5 * number / len(missing), f"Features of track {number} of {len(missing)}")
    refused = selectors.features_refused(release, kind)
    items = [item for item in release.items.all() if item.track_id not in refused]
    labels = list(release.labels)
    shares, truth = rounds.shares_of(items, labels)
    if len(items) < curves.FEWEST_TRACKS:
        raise TrainingImpossible(f"{len(items)} tracks with features are too few for a curve: {curves.FEWEST_TRACKS} are needed.")
    names, X = selectors.feature_table([item.track_id for item in items], kind)  # noqa: N806
    try:
        found = curves.learning_curve(
            X, shares, truth, [item.group for item in items], names=names, seed=row.seed,
            tell=lambda share: ticket.progress(0.5 + 0.5 * share, "Learning from more and more tracks"),
        )  # fmt: skip
    except ValueError as fact:
        raise TrainingImpossible(f"{fact}.") from None
    store_curve(row, found)


DRAWN, TRAINED = 0.1, 0.85  # of a run's progress


def _draw_missing(ticket: Ticket, run: Run, owner: SpectrogramSet) -> dict[int, str]:
    """Draw the spectrograms that are missing; returns why a track has none, by track."""
    missing = selectors.missing_tracks(owner, run.release)
    for number, track in enumerate(missing, 1):
        inputs.draw_track(track, [owner])
        ticket.progress(0.1 * number / len(missing), f"Spectrogram {number} of {len(missing)}")
    return {sample.track_id: sample.reason for sample in selectors.samples_of(run) if sample.spectrogram is None}


def _measure_features(ticket: Ticket, run: Run) -> dict[int, str]:
    """Measure the features that are missing; returns why a track has none, by track."""
    kinds = kinds_of(run)
    reasons: dict[int, str] = {}
    for place, kind in enumerate(kinds):
        missing = selectors.tracks_without_features(run.release, kind)
        with MEASURES[kind]() as measure:
            for number, track in enumerate(missing, 1):
                measure_track(track, kind, measure)
                share = (place + number / len(missing)) / len(kinds)
                ticket.progress(0.9 * share, f"Features of track {number} of {len(missing)}")
        reasons |= selectors.features_refused(run.release, kind)
    return reasons


def kinds_of(run: Run) -> tuple[str, ...]:
    """What its linear models learn from."""
    return ENSEMBLE if run.network == "ensemble" else (run.network,)


Measure = Callable[[IO[bytes]], dict[str, float]]


def measure_track(track: Track, kind: str, measure: Measure) -> FeatureVector:
    wav = tracks.wav_of(track)
    try:
        if wav is None:
            raise SpectrogramImpossible("The track has no converted file.")
        with wav.file.open("rb") as file:
            return inputs.store_features(track, kind, measure(file))
    except SpectrogramImpossible as fact:
        return inputs.store_features(track, kind, {}, reason=str(fact))


@contextmanager
def embedding() -> Iterator[Measure]:
    """MusiCNN in a process of its own, which ends with this."""
    musicnn.weights_folder()
    with tempfile.TemporaryDirectory(prefix="embed-", dir=settings.WORK_DIR) as folder:
        local, errors = Path(folder, "track.wav"), Path(folder, "errors.txt")
        with (
            errors.open("wb") as complaints,
            subprocess.Popen(
                [sys.executable, "-m", "mer.methods.musicnn"], cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=complaints, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            ) as process,
        ):  # fmt: skip

            def measure(wav: IO[bytes]) -> dict[str, float]:
                assert process.stdin is not None and process.stdout is not None
                with local.open("wb") as copy:
                    shutil.copyfileobj(wav, copy, 1 << 20)
                with suppress(BrokenPipeError):  # it has ended: no answer comes, and its complaint is told
                    process.stdin.write(f"{local}\n".encode())
                    process.stdin.flush()
                answer = process.stdout.readline()
                if not answer:
                    raise TrainingImpossible(f"The process of MusiCNN ended: {rounds.last_line(errors)}")
                said = json.loads(answer)
                if "reason" in said:
                    raise SpectrogramImpossible(said["reason"])
                return dict(said["values"])

            try:
                yield measure
            finally:
                process.kill()


MEASURES: dict[str, Callable[[], AbstractContextManager[Measure]]] = {
    "features": lambda: nullcontext(lambda wav: features.extract(read_wav(wav))),
    "mel": lambda: nullcontext(lambda wav: features.mel_means(read_wav(wav))),
    "transfer": embedding,
}


def _fit_linear(
    ticket: Ticket, run: Run, folder: Path, usable: list[selectors.Sample], plans: list[list[str]], labels: list[str]
) -> tuple[list[runs.Round], Path]:
    """A linear model a round on each kind of features, on the shares of the votes; several are averaged.

    The validation part says which run is better; then it is learned from as well, for the model that meets the test part and is kept.
    """
    ids = [sample.track_id for sample in usable]
    tables = {kind: selectors.feature_table(ids, kind) for kind in kinds_of(run)}
    shares, _truth = rounds.shares_of(usable, labels)
    groups = np.array([sample.group for sample in usable])
    fitted, path = [], folder / "model.npz"
    penalties: list[str] = []
    for number, parts in enumerate(plans, 1):
        part = np.array(parts)
        learned = shares[rounds.shuffled(part, run.seed)] if run.params.get("shuffle_labels") else shares
        found, n_weights = np.zeros_like(shares), 0
        kept: dict[str, Any] = {}
        reasons: list[list[tuple[str, float]]] = [[] for _sample in usable]
        for kind, (names, X) in tables.items():  # noqa: N806  (the field's letter)
            ticket.progress(0.9 + 0.09 * number / len(plans), f"Fitting, {number} of {len(plans)}", even=False, force=True)
            first, model = (
                features.fit(X[mine], learned[mine], groups[mine].tolist(), names=names, seed=run.seed)
                for mine in (part == "train", part != "test")
            )
            found += np.where((part == "test")[:, None], model.probabilities(X), first.probabilities(X)) / len(tables)
            kept |= {f"{kind}/{name}": value for name, value in model.as_arrays().items()}
            n_weights += model.weights.size + model.bias.size
            penalties.append(f"{kind} {model.C:g}")
            if kind != "transfer":  # the numbers of an embedding have no names that say anything
                for place, (by_first, by_model) in enumerate(zip(first.why(X), model.why(X), strict=True)):
                    reasons[place] += by_model if parts[place] == "test" else by_first
        fitted.append(runs.Round(parts, found, why=dict(enumerate(reasons))))
        np.savez(path, **kept)
    runs.describe(
        run, n_weights=n_weights, penalty_chosen=", ".join(penalties), penalties_tried=", ".join(f"{C:g}" for C in features.CHOICES)
    )
    return fitted, path


class InFold:
    """Tells of a fold's training on its own job and, where the worker of the run does it, on the run's."""

    def __init__(self, fold: Fold, mine: Ticket, of_run: Ticket | None) -> None:
        self.fold, self.mine, self.of_run, self.told_at = fold, mine, of_run, 0.0

    def progress(self, share: float, detail: str, *, eta_s: float | None = None, even: bool = True, force: bool = False) -> None:
        self.mine.progress(share, detail, eta_s=eta_s, even=even, force=force)
        if self.of_run and (force or time.monotonic() - self.told_at > 1):
            self.told_at = time.monotonic()
            share, words = selectors.folds_done(self.fold.run)
            with self._run_is_ours():
                self.of_run.progress(
                    DRAWN + TRAINED * share, f"{words}; fold {self.fold.number}: {detail}", even=share > 0, force=force
                )

    def log(self, text: str) -> None:
        self.mine.log(text)

    def check(self) -> None:
        self.mine.check()
        if self.of_run:
            with self._run_is_ours():
                self.of_run.check()

    @contextmanager
    def _run_is_ours(self) -> Iterator[None]:
        try:
            yield
        except JobTakenOver as fact:
            raise JobInterrupted(str(fact)) from None  # the fold is not cancelled: the run's new worker finds it half done


def train_fold(ticket: Ticket, of_run: Ticket | None = None) -> None:
    """One fold of a run; by the worker of the run, whose ticket is `of_run`, or by another."""
    queue.remove_work_folders()
    fold = Fold.objects.select_related("run__release", "run__split", "run__spectrogram_set").get(pk=ticket.job.subject_id)
    if fold.results:
        return
    folds.begin_fold(fold)
    run, labels = fold.run, list(fold.run.release.labels)
    usable = [sample for sample in selectors.samples_of(run) if sample.spectrogram]
    parts = selectors.rounds_of(run, usable)[fold.number - 1]
    given = rounds.inputs_of(run, usable, [parts], labels)[0]
    with queue.work_folder(ticket) as folder:
        found = rounds.train(InFold(fold, ticket, of_run), run, folder / "fold", given, fold=fold.number)
        facts = {"best_epoch": found.best_epoch, "n_weights": found.n_weights, "precision": found.precision}
        folds.finish_fold(
            fold, ticket=ticket, inputs=given.digest, facts=facts, probabilities=found.probabilities, pictures=found.pictures
        )


def _train_folds(
    ticket: Ticket, run: Run, usable: list[selectors.Sample], plans: list[list[str]], labels: list[str]
) -> list[runs.Round]:
    """A network a fold. Whoever is free trains them; this worker takes one after the other, and waits for those that others have."""
    digests = [given.digest for given in rounds.inputs_of(run, usable, plans, labels)]
    folds.queue_folds(run, digests)
    while waiting := list(run.folds.filter(results="").select_related("job")):
        ticket.check()
        _guard_folds(run)
        for fold in waiting:
            assert fold.job is not None
            job = queue.run_job(fold.job.pk, partial(train_fold, of_run=ticket))
            if job and job.state == Job.State.QUEUED:
                raise JobInterrupted("The machine is shutting down.")
            if job:
                break
        else:
            share, words = selectors.folds_done(run)
            ticket.progress(DRAWN + TRAINED * share, f"{words}; waiting for other workers", force=True)
            time.sleep(1)
    found = list(run.folds.all())
    if [fold.inputs for fold in found] != digests:
        raise TrainingImpossible("A track or a label changed while the folds were trained: train again.")
    runs.describe(run, n_weights=found[0].facts["n_weights"], **_where(found))
    results = [folds.found(fold) for fold in found]
    return [
        runs.Round(parts, probabilities, pictures=pictures) for parts, (probabilities, pictures) in zip(plans, results, strict=True)
    ]


def _where(found: list[Fold]) -> dict[str, str]:
    """On which machines and in which precision the folds were trained."""
    return {name: ", ".join(sorted({str(fold.facts[name]) for fold in found})) for name in ("host", "precision")}


def _guard_folds(run: Run) -> None:
    for fold in run.folds.filter(results="", job__state__in=["failed", "cancelled"]).select_related("job"):
        assert fold.job is not None
        raise TrainingImpossible(f"Fold {fold.number} was not trained: {fold.job.reason}")


def _guard_usable(
    run: Run, samples: list[selectors.Sample], usable: list[selectors.Sample], excluded: list[dict[str, Any]]
) -> None:
    """Where most tracks were left out for one reason, that reason is what a person has to know."""
    folds = {sample.part for sample in usable}
    if len(usable) >= 3 and (not run.in_folds or len(folds) >= 3):
        return
    reasons = Counter(str(row["reason"]) for row in excluded).most_common(1)
    why = f" Most often: {reasons[0][0]}" if reasons else ""
    cure = ""
    if run.spectrogram_set and run.spectrogram_set.input != "whole" and excluded:
        cure = " The input “whole” takes tracks of half that length, and the linear models and the ensemble take all that have three seconds of sound."
    where = f" in {len(folds)} folds (at least three are needed)" if run.in_folds else ""
    raise TrainingImpossible(f"{len(usable)} of {len(samples)} tracks can be learned from{where}.{why}{cure}")


def _guard(usable: list[selectors.Sample], parts: list[str], labels: list[str], n_excluded: int, *, in_folds: bool) -> None:
    """Say what is missing before TensorFlow would say it badly."""
    lost = f" {n_excluded} tracks were left out: the run says why." if n_excluded else ""
    for part in ("train", "validation", "test"):
        found = {sample.label for sample, mine in zip(usable, parts, strict=True) if mine == part}
        if not found:
            raise TrainingImpossible(f"The {part} part is empty.{lost} Rate more tracks and freeze again.")
        if part == "train" and len(found) < 2:
            raise TrainingImpossible(f"All training tracks are {found.pop()}: there is nothing to tell apart.{lost}")
        if part == "train" and (
            untaught := [label for label in labels if label not in found and any(s.label == label for s in usable)]
        ):
            raise TrainingImpossible(
                f"No training track is {untaught[0]}, which others are: all tracks of that label belong to one artist or to too few."
                f"{lost} Bring in {untaught[0]} tracks by other artists and freeze again, or leave the label out."
            )
        if not in_folds and (untold := [label for label in labels if label not in found and any(s.label == label for s in usable)]):
            raise TrainingImpossible(
                f"No track of the {part} part is {untold[0]}: nothing could be said of that label.{lost} Train in folds, which test every track,"
                f" or freeze again with more {untold[0]} tracks."
            )


def environment() -> dict[str, Any]:
    """Where and with what a run was made, so that it can be questioned."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "host": platform.node(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": versions,
        "commit": _commit(),
    }


def _commit() -> str:
    """The git commit that runs; empty where there is no git."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
