"""What a trained model says of recordings that it has not seen: files, converted as ingest converts them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from datasets.methods import audio
from mer.errors import PredictionImpossible
from mer.methods import features, musicnn, spectrograms
from mer.methods.params import SpectrogramParams
from mer.models import Run


@dataclass(frozen=True)
class Prediction:
    """probabilities : by label, over the track. windows : (second at which it begins, probabilities) of each picture, in order; empty for
    a model that hears the track as a whole."""

    label: str
    probabilities: dict[str, float]
    windows: list[tuple[float, dict[str, float]]]


def predictor(run: Run) -> Callable[[Path], Prediction]:
    """Load the model once; the function that is returned reads one file. PredictionImpossible for a run without a model."""
    if not run.network_file and not run.members:
        why = "it was tested in folds and keeps no model" if run.in_folds else f"it is {run.state or 'without a job'}"
        raise PredictionImpossible(f"{run.name} cannot predict: {why}. Train on the hold-out split, and use that run.")
    if run.members:
        return _of_members(run)
    labels = list(run.release.labels)
    says = _of_features(run) if run.spectrogram_set is None else _of_pictures(run, SpectrogramParams(**run.spectrogram_set.params))

    def predict(path: Path) -> Prediction:
        with tempfile.TemporaryDirectory(prefix="predict-", dir=settings.WORK_DIR) as folder:
            wav = Path(folder, "track.wav")
            audio.convert(path, wav, max_duration_s=settings.TRACK_MAX_MINUTES * 60)
            starts, found = says(audio.read_wav(wav))
        mean = found.mean(axis=0)
        windows = [(start, _named(labels, row)) for start, row in zip(starts, found, strict=True)] if starts else []
        return Prediction(labels[int(mean.argmax())], _named(labels, mean), windows)

    return predict


def _named(labels: list[str], values: NDArray[np.float64]) -> dict[str, float]:
    return {label: round(float(value), 6) for label, value in zip(labels, values, strict=True)}


Says = Callable[[NDArray[np.float32]], tuple[list[float], NDArray[np.float64]]]


def _of_members(run: Run) -> Callable[[Path], Prediction]:
    """The mean of the runs of an ensemble."""
    members = [predictor(member) for member in Run.objects.filter(pk__in=run.members).select_related("release", "spectrogram_set")]

    def predict(path: Path) -> Prediction:
        found = [member(path).probabilities for member in members]
        mean = {label: round(sum(one[label] for one in found) / len(found), 6) for label in run.release.labels}
        return Prediction(max(mean, key=lambda label: mean[label]), mean, [])

    return predict


def _of_features(run: Run) -> Says:
    with run.network_file.open("rb") as file:
        arrays = dict(np.load(file, allow_pickle=False))
    if "names" in arrays:  # of a run before there were ensembles
        arrays = {f"{run.network}/{name}": value for name, value in arrays.items()}
    models = {}
    for kind in sorted({name.partition("/")[0] for name in arrays}):
        mine = {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(f"{kind}/")}
        models[kind] = features.LinearModel.of_arrays(mine), EXTRACT[kind]()

    def says(y: NDArray[np.float32]) -> tuple[list[float], NDArray[np.float64]]:
        found = []
        for model, extract in models.values():
            values = extract(y)
            found.append(model.probabilities(np.array([[values[name] for name in model.names]])))
        return [], np.mean(found, axis=0)

    return says


def _musicnn() -> Callable[[NDArray[np.float32]], dict[str, float]]:
    weights = {model: musicnn.read_weights(model) for model in musicnn.MODELS}  # TensorFlow comes with it
    return lambda y: musicnn.extract(y, weights)


EXTRACT = {"features": lambda: features.extract, "mel": lambda: features.mel_means, "transfer": _musicnn}


def _of_pictures(run: Run, params: SpectrogramParams) -> Says:
    from mer.methods import networks  # TensorFlow comes with it
    from mer.methods.training import resize_pictures

    with tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as folder:
        path = Path(folder, "network.keras")
        with run.network_file.open("rb") as stored:
            path.write_bytes(stored.read())
        network = networks.load(path)

    def says(y: NDArray[np.float32]) -> tuple[list[float], NDArray[np.float64]]:
        found = spectrograms.pictures(y, params)
        probabilities = np.asarray(network.predict(resize_pictures(found), verbose=0), dtype=np.float64)
        return [round(number * params.window_s, 2) for number in range(len(found))], probabilities

    return says
