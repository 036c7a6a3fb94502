"""The whole story of each piece of heavy work of this app; callable from a worker, a command, a shell or a test."""

import importlib.metadata
import json
import platform
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files import File

from datasets import selectors as tracks
from datasets.errors import JobInterrupted
from datasets.methods.audio import read_wav
from datasets.models import Track
from datasets.services.queue import Ticket
from mer import selectors, services
from mer.errors import SpectrogramImpossible, TrainingImpossible
from mer.methods import spectrograms
from mer.methods.params import RECIPES, SpectrogramParams
from mer.models import Run, SpectrogramSet

PACKAGES = ("tensorflow-cpu", "tensorflow", "keras", "numpy", "librosa")


def draw_spectrograms(ticket: Ticket) -> None:
    """The spectrogram of one track in every recipe, or the reason why there is none."""
    track = Track.objects.get(pk=ticket.job.subject_id)
    draw_track(track, [services.spectrogram_set(SpectrogramParams(recipe=recipe)) for recipe in RECIPES])  # type: ignore[arg-type]


def draw_track(track: Track, sets: list[SpectrogramSet]) -> None:
    wav = tracks.wav_of(track)
    for owner in sets:
        params = SpectrogramParams(**owner.params)
        try:
            if wav is None:
                raise SpectrogramImpossible("The track has no converted file.")
            with wav.file.open("rb") as file:
                S = spectrograms.mel_spectrogram(read_wav(file), params)  # noqa: N806  (librosa's name)
            services.store_spectrogram(owner, track, spectrograms.png(spectrograms.to_picture(S, params)))
        except SpectrogramImpossible as fact:
            services.store_spectrogram(owner, track, None, reason=str(fact))


def train_run(ticket: Ticket) -> None:
    """Spectrograms that are missing, then training in a process of its own, then predictions and figures."""
    run = Run.objects.select_related("release__dataset", "split", "spectrogram_set").get(pk=ticket.job.subject_id)
    if run.evaluations.exists():
        return  # a worker died between the result and the end of the job: nothing is left to do
    missing = selectors.missing_tracks(run.spectrogram_set, run.release)
    for number, track in enumerate(missing, 1):
        draw_track(track, [run.spectrogram_set])
        ticket.progress(0.1 * number / len(missing), f"Spectrogram {number} of {len(missing)}")
    samples = selectors.samples_of(run)
    usable = [sample for sample in samples if sample.spectrogram]
    excluded = [{"track": row.track_id, "title": row.title, "reason": row.reason} for row in samples if not row.spectrogram]
    labels = list(run.release.labels)
    services.start_run(run, excluded=excluded, environment=environment())
    _guard(usable, len(excluded))
    with tempfile.TemporaryDirectory(prefix="train-", dir=settings.WORK_DIR) as name:
        folder = Path(name)
        _write_inputs(folder, run, usable, labels)
        best_epoch = _train(ticket, run, folder)
        ticket.progress(0.99, "Storing the network", even=False, force=True)
        with (folder / "network.keras").open("rb") as file:
            services.finish_run(
                run,
                rows=usable,
                probabilities=np.load(folder / "probabilities.npy"),
                labels=labels,
                best_epoch=best_epoch,
                network=File(file),
            )


def _guard(usable: list[selectors.Sample], n_excluded: int) -> None:
    """Say what is missing before TensorFlow would say it badly."""
    lost = f" {n_excluded} tracks were left out because they have no spectrogram." if n_excluded else ""
    for part in ("train", "validation", "test"):
        found = {sample.label for sample in usable if sample.part == part}
        if not found:
            raise TrainingImpossible(f"The {part} part is empty.{lost} Rate more tracks and freeze again.")
        if part == "train" and len(found) < 2:
            raise TrainingImpossible(f"All training tracks are {found.pop()}: there is nothing to tell apart.{lost}")


def _write_inputs(folder: Path, run: Run, usable: list[selectors.Sample], labels: list[str]) -> None:
    pictures = []
    for sample in usable:
        assert sample.spectrogram is not None
        with sample.spectrogram.image.open("rb") as file:
            pictures.append(spectrograms.read_png(file.read()))
    truth = np.array([labels.index(sample.label) for sample in usable])
    np.savez(folder / "data.npz", pictures=np.stack(pictures), truth=truth, part=np.array([sample.part for sample in usable]))
    (folder / "spec.json").write_text(json.dumps({"params": run.params, "labels": labels}))


def _train(ticket: Ticket, run: Run, folder: Path) -> int:
    """Start the training process and follow its messages until it ends; returns the best epoch."""
    command = [sys.executable, "-m", "mer.methods.training", str(folder)]
    errors = folder / "errors.txt"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0
        )
        try:
            best_epoch = _follow(ticket, run, process)
        finally:
            process.kill()
            process.wait()
    if best_epoch is not None:
        return best_epoch
    if process.returncode in (-signal.SIGTERM, -signal.SIGINT):
        raise JobInterrupted("The machine is shutting down.")
    if process.returncode == -signal.SIGKILL:
        raise TrainingImpossible("The training process was killed, most likely because memory ran out. Train with a smaller batch.")
    last = errors.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
    raise TrainingImpossible(f"The training process ended with code {process.returncode}: {last[0][:300]}")


def _follow(ticket: Ticket, run: Run, process: "subprocess.Popen[bytes]") -> int | None:
    assert process.stdout is not None
    epochs = int(run.params["epochs"])
    done, seconds = 0, 0.0
    ticket.progress(0.1, "Starting TensorFlow", even=False, force=True)
    while True:
        ready, _, _ = select.select([process.stdout], [], [], 1.0)
        if not ready:
            ticket.check()
            continue
        line = process.stdout.readline()
        if not line:
            process.wait()
            return None
        message: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
        match message.get("event"):
            case "built":
                Run.objects.filter(pk=run.pk).update(n_weights=message["weights"])
                run.n_weights = message["weights"]
            case "batch":
                share = (message["epoch"] - 1 + message["share"]) / epochs
                left = seconds * (epochs - done - message["share"]) if seconds else None
                ticket.progress(0.1 + 0.85 * share, f"Epoch {message['epoch']} of {epochs}", eta_s=left, even=False)
            case "epoch":
                services.add_epoch(run, message)
                done, seconds = message["number"], message["seconds"]
                detail = f"Epoch {done} of {epochs}: loss {message['loss']:.3f}, validation accuracy {message['val_accuracy']:.0%}"
                ticket.progress(0.1 + 0.85 * done / epochs, detail, eta_s=seconds * (epochs - done), force=True)
            case "predicting":
                ticket.progress(0.96, "Predicting", even=False, force=True)
            case "failed":
                raise TrainingImpossible(message["reason"])
            case "done":
                return int(message["best_epoch"])


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
