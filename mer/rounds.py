"""One training of a network: its inputs in a folder, a process of its own, and what that says and leaves."""

import hashlib
import json
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from datasets.errors import JobInterrupted
from datasets.models import ReleaseItem
from mer import selectors
from mer.errors import TrainingImpossible
from mer.methods import spectrograms
from mer.models import Run
from mer.services import runs
from mer.services.inputs import forget_spectrogram


class Watch(Protocol):
    """Who is told how far it is, and may stop it by what it raises; a `Ticket` is one."""

    def progress(
        self, share: float, detail: str, *, eta_s: float | None = None, even: bool = True, force: bool = False
    ) -> None: ...

    def log(self, text: str) -> None: ...

    def check(self) -> None: ...


@dataclass(frozen=True)
class Stretch:
    """The part of a job's progress from `first`, `width` of the whole."""

    job: Watch
    first: float
    width: float

    def progress(self, share: float, detail: str, *, eta_s: float | None = None, even: bool = True, force: bool = False) -> None:
        self.job.progress(self.first + self.width * share, detail, eta_s=eta_s, even=even, force=force)

    def log(self, text: str) -> None:
        self.job.log(text)

    def check(self) -> None:
        self.job.check()


@dataclass(frozen=True)
class Inputs:
    """What one training learns from. A picture a row; a track with several has several, all with its label and in its part.

    pictures : uint8 [shape=(n, 128, width)]. owner : the track of each. truth, shares, part : of each picture, the labels shuffled for a
    control. digest : SHA-256 over all that decides the result."""

    labels: list[str]
    pictures: NDArray[np.uint8]
    owner: NDArray[np.intp]
    truth: NDArray[np.int64]
    shares: NDArray[np.float64]
    part: NDArray[np.str_]
    digest: str


@dataclass(frozen=True)
class Trained:
    """probabilities : of every track [shape=(n, n_labels)]. pictures : where it looked, by track, in some that it did not learn from."""

    best_epoch: int
    n_weights: int
    precision: str
    probabilities: NDArray[np.float64]
    pictures: dict[int, NDArray[np.uint8]]


def inputs_of(run: Run, usable: Sequence[selectors.Sample], plans: Sequence[Sequence[str]], labels: list[str]) -> list[Inputs]:
    """Of each round; the pictures are read once."""
    found = []
    for sample in usable:
        assert sample.spectrogram is not None
        try:
            with sample.spectrogram.image.open("rb") as file:
                found.append(spectrograms.read_png(file.read()))
        except (FileNotFoundError, UnidentifiedImageError, ValueError):
            forget_spectrogram(sample.spectrogram)
            raise TrainingImpossible(
                f"The picture of “{sample.title}” is gone or broken: train again, and it is drawn anew."
            ) from None
    pictures = np.concatenate(found)
    owner = np.repeat(np.arange(len(usable)), [len(mine) for mine in found])
    drawn = hashlib.sha256(json.dumps([run.params, labels]).encode() + pictures.tobytes() + owner.tobytes())
    shares, truth = shares_of(usable, labels)
    made = []
    for parts in plans:
        part = np.array(parts)
        order = shuffled(part, run.seed) if run.params.get("shuffle_labels") else np.arange(len(part))
        arrays = {"truth": truth[order][owner], "shares": shares[order][owner], "part": part[owner]}
        digest = drawn.copy()
        for value in arrays.values():
            digest.update(np.ascontiguousarray(value).tobytes())
        made.append(Inputs(labels, pictures, owner, **arrays, digest=digest.hexdigest()))
    return made


def shares_of(usable: Sequence[selectors.Sample | ReleaseItem], labels: list[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The vote shares of each track [shape=(n, n_labels)] and its label; a label that was ruled on has all the votes."""
    shares = selectors.vote_shares(usable, labels)
    truth = np.array([labels.index(sample.label) for sample in usable])
    # A curator settled the label, or nobody voted.
    ruled = np.array([sample.is_ruled for sample in usable]) | (shares.sum(axis=1) == 0) | (shares.argmax(axis=1) != truth)
    shares[ruled] = np.eye(len(labels))[truth[ruled]]
    return shares, truth


def shuffled(part: NDArray[np.str_], seed: int) -> NDArray[np.intp]:
    """Whose label each track is given for the control: another's of the parts that are learned from; tests keep their own."""
    order = np.arange(len(part))
    places = np.flatnonzero(part != "test")
    order[places] = np.random.default_rng(seed).permutation(places)
    return order


def pooled(probabilities: NDArray[np.float32], owner: NDArray[np.intp]) -> NDArray[np.float64]:
    """A track's probabilities: the mean over its pictures [shape=(n_tracks, n_labels)]."""
    sums = np.zeros((int(owner.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, owner, probabilities)
    return sums / np.bincount(owner)[:, None]


def train(watch: Watch, run: Run, folder: Path, inputs: Inputs, *, fold: int = 0) -> Trained:
    """Train in `folder`, and go on with what an earlier attempt left there, if that was made from the same inputs.

    The network's own file is left in the folder as `network.keras`.
    """
    write(folder, run, inputs)
    done = folder / "done.json"
    if not done.exists():
        done.write_text(json.dumps(_train(watch, run, folder, fold)))
    with np.load(folder / "saliency.npz") as looked:
        pictures = dict(zip(looked["owner"].tolist(), looked["pictures"], strict=True))
    probabilities = pooled(np.load(folder / "probabilities.npy"), inputs.owner)
    return Trained(**json.loads(done.read_text()), probabilities=probabilities, pictures=pictures)


def write(folder: Path, run: Run, inputs: Inputs) -> None:
    spec = json.dumps({"params": run.params, "labels": inputs.labels, "inputs": inputs.digest})
    file_of_spec = folder / "spec.json"
    if file_of_spec.exists() and file_of_spec.read_text() == spec:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    names = ("pictures", "truth", "shares", "part", "owner")
    np.savez(folder / "data.npz", **{name: getattr(inputs, name) for name in names})
    file_of_spec.write_text(spec)


def _train(watch: Watch, run: Run, folder: Path, fold: int) -> dict[str, Any]:
    """Start the training process and follow its messages until it ends; returns its facts."""
    command = [sys.executable, "-m", "mer.methods.training", str(folder)]
    errors = folder / "errors.txt"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, bufsize=0
        )
        try:
            facts = _follow(watch, run, process, fold)
        finally:
            process.kill()
            process.wait()
    if facts is not None:
        return facts
    if process.returncode in (-signal.SIGTERM, -signal.SIGINT):
        raise JobInterrupted("The machine is shutting down.")
    watch.log("\n".join(errors.read_text(errors="replace").strip().splitlines()[-20:]))
    if process.returncode == -signal.SIGKILL:
        raise TrainingImpossible("The training process was killed, most likely because memory ran out. Train with a smaller batch.")
    raise TrainingImpossible(f"The training process ended with code {process.returncode}: {last_line(errors)}")


def last_line(errors: Path) -> str:
    """What a process complained of last."""
    lines = errors.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "no message"


def _follow(watch: Watch, run: Run, process: "subprocess.Popen[bytes]", fold: int) -> dict[str, Any] | None:
    assert process.stdout is not None
    epochs = int(run.params["epochs"])
    done, seconds = 0, 0.0
    facts: dict[str, Any] = {}
    watch.progress(0, "Starting TensorFlow", even=False, force=True)
    while True:
        ready, _, _ = select.select([process.stdout], [], [], 1.0)
        if not ready:
            watch.check()
            continue
        line = process.stdout.readline()
        if not line:
            process.wait()
            return None
        message: dict[str, Any] = json.loads(line) if line.startswith(b"{") else {}
        match message.get("event"):
            case "built":
                facts = {"n_weights": message["weights"], "precision": message["precision"]}
                watch.log(f"A network of {message['weights']:,} weights, in {message['precision']}")
            case "resumed":
                watch.log(f"Goes on after epoch {message['epoch']}, from the state that was kept; the epochs so far once more:")
            case "batch":
                share = (message["epoch"] - 1 + message["share"]) / epochs
                left = seconds * (epochs - done - message["share"]) if seconds else None
                watch.progress(share, f"Epoch {message['epoch']} of {epochs}", eta_s=left, even=False)
            case "epoch":
                runs.add_epoch(run, message, fold=fold)
                done, seconds = message["number"], message["seconds"]
                detail = f"Epoch {done} of {epochs}: loss {message['loss']:.3f}, validation accuracy {message['val_accuracy']:.0%}"
                watch.progress(done / epochs, detail, eta_s=seconds * (epochs - done), force=True)
            case "predicting":
                watch.progress(1, "Predicting", even=False, force=True)
            case "failed":
                raise TrainingImpossible(message["reason"])
            case "done":
                return facts | {"best_epoch": int(message["best_epoch"])}
