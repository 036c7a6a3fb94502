"""What a trained model says of recordings that it has not seen: files, converted as ingest converts them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from datasets.methods import audio
from mer.errors import PredictionImpossible, SpectrogramImpossible
from mer.methods import features, musicnn, spectrograms
from mer.methods.params import SAMPLE_RATE, SpectrogramParams
from mer.models import Run
from mer.services.runs import named

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prediction:
    """probabilities : by label, over the track as the model learned to hear it. windows : (second at which it begins, and ends,
    probabilities) of each picture or stretch along the track, in order; what has no sound, or is too short, is in none. Empty where a
    model hears the track as a whole and it is shorter than two stretches."""

    label: str
    probabilities: dict[str, float]
    windows: list[tuple[float, float, dict[str, float]]]


def predictor(run: Run) -> Callable[[Path], Prediction]:
    """Load the model once; the function that is returned reads one file. PredictionImpossible for a run without a model."""
    if not run.network_file and not run.members:
        why = "it was tested in folds and keeps no model" if run.in_folds else f"it is {run.state or 'without a job'}"
        raise PredictionImpossible(f"{run.name} cannot predict: {why}. Train on the hold-out split, and use that run.")
    if run.members:
        return _of_members(run)
    labels = list(run.release.labels)
    try:
        says = (
            _of_features(run)
            if run.spectrogram_set is None
            else _of_pictures(run, SpectrogramParams.stored(run.spectrogram_set.params))
        )
    except (FileNotFoundError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as fact:
        logger.warning("The model of %s cannot be loaded: %s", run.name, fact)
        raise PredictionImpossible(
            f"{run.name} cannot predict: the file of its model is gone or is no model of ours. Train it again, and use that run."
        ) from None

    def predict(path: Path) -> Prediction:
        with tempfile.TemporaryDirectory(prefix="predict-", dir=settings.WORK_DIR) as folder:
            wav = Path(folder, "track.wav")
            audio.convert(path, wav, max_duration_s=settings.TRACK_MAX_MINUTES * 60)
            mean, found = says(audio.read_wav(wav))
        along = [(start, end, named(labels, row)) for start, end, row in found]
        return Prediction(labels[int(mean.argmax())], named(labels, mean), along)

    return predict


Said = tuple[
    NDArray[np.float64], list[tuple[float, float, NDArray[np.float64]]]
]  # of the whole; of each window, with its first and last second
Says = Callable[[NDArray[np.float32]], Said]


def _of_members(run: Run) -> Callable[[Path], Prediction]:
    """The mean of the runs of an ensemble."""
    members = [predictor(member) for member in Run.objects.filter(pk__in=run.members).select_related("release", "spectrogram_set")]

    def predict(path: Path) -> Prediction:
        found = [member(path) for member in members]
        mean = _mean([one.probabilities for one in found])
        spans = [[window[:2] for window in one.windows] for one in found]
        same = all(one == spans[0] for one in spans)
        windows = [(*span, _mean([one.windows[place][2] for one in found])) for place, span in enumerate(spans[0])] if same else []
        return Prediction(max(mean, key=lambda label: mean[label]), mean, windows)

    return predict


def _mean(answers: list[dict[str, float]]) -> dict[str, float]:
    return {label: round(sum(one[label] for one in answers) / len(answers), 6) for label in answers[0]}


def _of_features(run: Run) -> Says:
    with run.network_file.open("rb") as file:
        arrays = dict(np.load(file, allow_pickle=False))
    if "names" in arrays:  # of a run before there were ensembles
        arrays = {f"{run.network}/{name}": value for name, value in arrays.items()}
    models = {}
    for kind in sorted({name.partition("/")[0] for name in arrays}):
        mine = {name.partition("/")[2]: value for name, value in arrays.items() if name.startswith(f"{kind}/")}
        models[kind] = features.LinearModel.of_arrays(mine), EXTRACT[kind]()

    def heard(y: NDArray[np.float32]) -> NDArray[np.float64]:
        found = []
        for model, extract in models.values():
            values = extract(y)
            found.append(model.probabilities(np.array([[values[name] for name in model.names]])))
        return np.asarray(np.mean(found, axis=0)[0])

    def says(y: NDArray[np.float32]) -> Said:
        """Over the whole recording, as it learned; and window by window where there are several, to see how it goes along."""
        width = SpectrogramParams().window_samples
        starts = range(0, len(y) - width + 1, width) if len(y) >= 2 * width else range(0)
        along = []
        for start in starts:
            with suppress(SpectrogramImpossible):  # no sound in it: it is left out, as of pictures
                along.append((*_span(start, start + width, len(y)), heard(y[start : start + width])))
        return heard(y), along

    return says


def _span(start: float, end: float, n: int) -> tuple[float, float]:
    """In seconds, of samples, within a recording of n."""
    return round(start / SAMPLE_RATE, 2), round(min(end, n) / SAMPLE_RATE, 2)


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

    # A network that learned from beginnings alone answers by the beginning; how it goes along is heard in windows of the same length.
    further = replace(params, input="whole") if params.input == "full" else params

    def answers(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(network.predict(resize_pictures(pictures), verbose=0), dtype=np.float64)

    def says(y: NDArray[np.float32]) -> Said:
        # Before the windows, which need less: what is too short for a beginning is told the length that one needs.
        beginning = None if further is params else spectrograms.pictures(y, params)
        starts, found = spectrograms.pictures_at(y, further)
        along = answers(found)
        mean = along.mean(axis=0) if beginning is None else answers(beginning)[0]
        spans = [_span(start * SAMPLE_RATE, (start + params.window_s) * SAMPLE_RATE, len(y)) for start in starts]
        return mean, [(*span, row) for span, row in zip(spans, along, strict=True)]

    return says
