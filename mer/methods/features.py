"""Hand-made features of a whole recording, and a regularised linear model on them: the pipeline for a few hundred tracks.

A recording becomes 128 numbers: what its timbre, loudness, harmony and rhythm are like on average, and how much they move. The model is
multinomial logistic regression trained on vote shares; its one hyperparameter is chosen by grouped cross-validation inside the training
tracks. On few tracks this beats the networks of the paper, which have a thousand weights for each of its numbers.

Conventions
-----------
y : float32 samples in [-1, 1] [shape=(n,)], mono, 22,050 Hz.
P : float32 power spectrogram of a block of frames [shape=(1025, n_frames)].
X : float64 features [shape=(n_tracks, 128)]; shares : float64 [shape=(n_tracks, n_labels)], rows add up to 1.

References
----------
.. [1] B. McFee et al. librosa: Audio and Music Signal Analysis in Python. SciPy 2015. Its mel filters are used.
.. [2] C. L. Krumhansl. Cognitive Foundations of Musical Pitch. Oxford University Press, 1990: the profiles of the keys.
.. [3] O. Lartillot et al. Multi-feature modeling of pulse clarity. ISMIR 2008: pulse clarity from the onset autocorrelation.
.. [4] R. Panda, R. Malheiro, R. P. Paiva. Audio Features for Music Emotion Recognition: A Survey. IEEE Trans. Affective Computing, 2020.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import SpectrogramImpossible

VERSION = 1  # of the numbers: another version is another set of features
SR, N_FFT, HOP = 22_050, 2048, 512
N_MELS, N_MFCC = 40, 20
FRAME_S = HOP / SR
BLOCK = 2048  # frames at a time: memory does not grow with the track
FLOOR = 1e-10
BANDS_HZ = (0, 200, 400, 800, 1600, 3200, 11_025)  # spectral contrast
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])

Floats = NDArray[np.float64]


def extract(y: NDArray[np.float32]) -> dict[str, float]:
    """The features of a recording by name, always the same names in the same order.

    Raises
    ------
    SpectrogramImpossible
        The recording is shorter than two seconds, or silent.
    """
    if len(y) < 2 * SR:
        raise SpectrogramImpossible(f"Too short: {len(y) / SR:.1f} s of sound, and 2 s are needed for its features.")
    if not np.any(y):
        raise SpectrogramImpossible("Silent: there is no sound to measure.")
    frames = _Frames.of(y)
    found: dict[str, float] = {}
    for number in range(N_MFCC):
        found |= _moments(f"mfcc_{number}", frames.mfcc[number])
        found[f"mfcc_{number}_change"] = float(np.abs(np.diff(frames.mfcc[number])).mean())
    for name in ("centroid", "bandwidth", "rolloff", "flatness", "flux", "crossings"):
        found |= _moments(name, getattr(frames, name))
    for number, row in enumerate(frames.contrast):
        found[f"contrast_{number}"] = float(row.mean())
    return found | _loudness(frames.level) | _harmony(y) | _rhythm(frames.onset)


MEL_VERSION = 1


def mel_means(y: NDArray[np.float32]) -> dict[str, float]:
    """The mean and the spread of each of the 128 mel bands in decibels: the plainest thing to learn from, as a baseline.

    Raises SpectrogramImpossible as `extract` does.
    """
    if len(y) < 2 * SR or not np.any(y):
        raise SpectrogramImpossible("Too short or silent: two seconds of sound are needed for its mel bands.")
    bands = _mel_filters(128)
    rows = np.concatenate([10 * np.log10(bands @ P + FLOOR) for P, _samples in _spectra(y)], axis=1)
    rows = np.maximum(rows, rows.max() - 80)
    means = {f"mel_{number}_mean": float(value) for number, value in enumerate(rows.mean(axis=1))}
    return means | {f"mel_{number}_spread": float(value) for number, value in enumerate(rows.std(axis=1))}


@dataclass(frozen=True)
class _Frames:
    """What is measured of every frame: float64 arrays with the frames last."""

    mfcc: Floats
    contrast: Floats
    centroid: Floats
    bandwidth: Floats
    rolloff: Floats
    flatness: Floats
    flux: Floats
    crossings: Floats
    level: Floats
    onset: Floats

    @classmethod
    def of(cls, y: NDArray[np.float32]) -> "_Frames":
        mel = _mel_filters()
        hertz = np.arange(N_FFT // 2 + 1) * SR / N_FFT
        parts: dict[str, list[Floats]] = {name: [] for name in cls.__annotations__ if name not in ("mfcc", "onset", "flux")}
        mels: list[Floats] = []
        for P, samples in _spectra(y):  # noqa: N806  (librosa's letter)
            total = P.sum(axis=0) + FLOOR
            centroid = hertz @ P / total
            parts["centroid"].append(centroid)
            parts["bandwidth"].append(np.sqrt(np.maximum(0, (hertz**2) @ P / total - centroid**2)))
            parts["rolloff"].append(hertz[(np.cumsum(P, axis=0) >= 0.85 * total).argmax(axis=0)])
            parts["flatness"].append(np.log(P + FLOOR).mean(axis=0) - np.log(P.mean(axis=0) + FLOOR))
            parts["contrast"].append(_contrast(P, hertz))
            parts["level"].append(10 * np.log10((samples**2).mean(axis=1) + FLOOR))
            parts["crossings"].append((np.diff(np.signbit(samples), axis=1)).mean(axis=1))
            mels.append(10 * np.log10(mel @ P + FLOOR))
        joined = {name: np.concatenate(found, axis=-1) for name, found in parts.items()}
        log_mel = np.concatenate(mels, axis=1)
        log_mel = np.maximum(log_mel, log_mel.max() - 80)
        rise = np.maximum(0, np.diff(log_mel, axis=1, prepend=log_mel[:, :1]))
        flux = np.abs(np.diff(log_mel, axis=1, prepend=log_mel[:, :1])).mean(axis=0)
        return cls(mfcc=_dct() @ log_mel, onset=rise.mean(axis=0), flux=flux, **joined)


def _spectra(y: NDArray[np.float32]) -> Iterator[tuple[Floats, NDArray[np.float32]]]:
    """(P, samples of its frames), a block at a time."""
    frames = np.lib.stride_tricks.sliding_window_view(y, N_FFT)[::HOP]
    hann = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    for start in range(0, len(frames), BLOCK):
        samples = frames[start : start + BLOCK]
        spectrum = np.fft.rfft(samples * hann, axis=1)
        yield (spectrum.real**2 + spectrum.imag**2).astype(np.float64).T, samples


@lru_cache(maxsize=2)
def _mel_filters(n_mels: int = N_MELS) -> Floats:
    import librosa.filters  # a second to import

    return np.asarray(librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=n_mels), dtype=np.float64)


@lru_cache(maxsize=1)
def _dct() -> Floats:
    """The orthonormal cosine transform of the mel bands, its first rows [shape=(N_MFCC, N_MELS)]."""
    rows, columns = np.arange(N_MFCC)[:, None], np.arange(N_MELS)[None, :]
    matrix = np.cos(np.pi * rows * (2 * columns + 1) / (2 * N_MELS)) * np.sqrt(2 / N_MELS)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


def _contrast(P: Floats, hertz: Floats) -> Floats:  # noqa: N803
    """Decibels between the loud and the quiet fifth of each band [shape=(6, n_frames)]."""
    rows = []
    for low, high in itertools.pairwise(BANDS_HZ):
        band = np.sort(P[(hertz >= low) & (hertz < high)], axis=0)
        n = max(1, len(band) // 5)
        rows.append(10 * np.log10((band[-n:].mean(axis=0) + FLOOR) / (band[:n].mean(axis=0) + FLOOR)))
    return np.stack(rows)


def _moments(name: str, values: Floats) -> dict[str, float]:
    return {f"{name}_mean": float(values.mean()), f"{name}_spread": float(values.std())}


def _loudness(level: Floats) -> dict[str, float]:
    """How much the loudness moves, relative to the track itself; its absolute level is that of the mastering."""
    low, middle, high = np.percentile(level, [10, 50, 95])
    return {
        "level_range": float(high - low),
        "level_median": float(middle - high),
        "level_change": float(np.abs(np.diff(level)).mean()),
        "quiet_share": float((level < level.mean()).mean()),
    }


PITCH_FFT, PITCH_HOP = 8192, 2048  # fine enough to tell semitones apart down to the small octave
LOWEST_HZ, HIGHEST_HZ = 55.0, 2000.0
FAINT = 0.03  # of the loudest partial of the frame: fainter ones are not heard as pitches
KEY_WINDOW_S = 8.0


def _partials(y: NDArray[np.float32]) -> tuple[Floats, NDArray[np.float32]]:
    """Pitches in semitones (69 is 440 Hz) [shape=(n_bins,)], and the magnitude of each partial, 0 where there is none
    [shape=(n_bins, n_frames)]."""
    if len(y) < PITCH_FFT:
        y = np.pad(y, (0, PITCH_FFT - len(y)))
    hertz = np.arange(PITCH_FFT // 2 + 1) * SR / PITCH_FFT
    inside = np.flatnonzero((hertz > LOWEST_HZ) & (hertz < HIGHEST_HZ))
    frames = np.lib.stride_tricks.sliding_window_view(y, PITCH_FFT)[::PITCH_HOP]
    hann = np.hanning(PITCH_FFT + 1)[:-1].astype(np.float32)
    found = []
    for start in range(0, len(frames), BLOCK // 4):
        S = np.abs(np.fft.rfft(frames[start : start + BLOCK // 4] * hann, axis=1)).T.astype(np.float32)  # noqa: N806
        middle = S[inside]
        partials = np.where((middle > S[inside - 1]) & (middle >= S[inside + 1]), middle, 0)
        found.append(np.where(partials > FAINT * partials.max(axis=0, keepdims=True), partials, 0))
    return 69 + 12 * np.log2(hertz[inside] / 440), np.concatenate(found, axis=1)


def _harmony(y: NDArray[np.float32]) -> dict[str, float]:
    """Register, mode and key over the track and as it moves, the profile from the tonic up, intervals that sound together."""
    pitch, partials = _partials(y)
    heard = partials > 0
    if not heard.any():
        partials, heard = partials + np.float32(FLOOR), np.ones_like(heard)
    found = _register(pitch, partials, heard)
    loud = np.log1p(partials / np.median(partials[heard]))
    classes = np.round(pitch).astype(int) % 12
    chroma = np.stack([loud[classes == number].sum(axis=0) for number in range(12)]).astype(np.float64)
    chroma /= chroma.max(axis=0) + FLOOR
    profile = chroma.mean(axis=1)
    share = profile / (profile.sum() + FLOOR)
    keys = _keys(profile)
    tonic = int(keys.max(axis=0).argmax())
    found |= {
        "major": float(keys[0].max()),
        "minor": float(keys[1].max()),
        "mode": float(keys[0].max() - keys[1].max()),
        "mode_of_tonic": float(keys[0, tonic] - keys[1, tonic]),
        "chroma_entropy": float(-(share * np.log(share + FLOOR)).sum()),
        "harmony_change": float(np.abs(np.diff(chroma, axis=1)).mean()) if chroma.shape[1] > 1 else 0.0,
    }
    found |= _keys_as_they_move(chroma)
    turned = np.roll(share, -tonic)
    found |= {f"degree_{step}": float(turned[step]) for step in range(12)}
    together = chroma / (np.linalg.norm(chroma, axis=0) + FLOOR)
    found |= {f"interval_{step}": float((together * np.roll(together, step, axis=0)).sum(axis=0).mean()) for step in range(1, 7)}
    strongest, frame = chroma.argmax(axis=0), np.arange(chroma.shape[1])
    names = {"second": 1, "minor_third": 3, "major_third": 4, "tritone": 6, "fifth": 7}
    return found | {f"over_root_{name}": float(chroma[(strongest + step) % 12, frame].mean()) for name, step in names.items()}


def _register(pitch: Floats, partials: NDArray[np.float32], heard: NDArray[np.bool_]) -> dict[str, float]:
    """How high the partials lie, and how many sound at once."""
    sounding = heard.any(axis=0)
    centre = (pitch @ partials)[sounding] / partials.sum(axis=0)[sounding]
    lowest = pitch[heard.argmax(axis=0)][sounding]
    highest = pitch[::-1][heard[::-1].argmax(axis=0)][sounding]
    n = heard.sum(axis=0)
    return {
        "pitch_mean": float(centre.mean()), "pitch_spread": float(centre.std()), "lowest": float(lowest.mean()),
        "highest": float(highest.mean()), "partials_mean": float(n.mean()), "partials_spread": float(n.std()),
    }  # fmt: skip


def _keys(profile: Floats) -> Floats:
    """Correlation with the profile of each key [shape=(2, 12)]: major, minor, by tonic."""
    if profile.std() < FLOOR:
        return np.zeros((2, 12))
    return np.array([[np.corrcoef(profile, np.roll(shape, tonic))[0, 1] for tonic in range(12)] for shape in (MAJOR, MINOR)])


def _keys_as_they_move(chroma: Floats) -> dict[str, float]:
    size = int(KEY_WINDOW_S * SR / PITCH_HOP)
    windows = [
        _keys(chroma[:, start : start + size].mean(axis=1)) for start in range(0, max(1, chroma.shape[1] - size // 2), size // 2)
    ]
    modes = np.array([keys[0].max() - keys[1].max() for keys in windows])
    tonics = np.array([keys.max(axis=0).argmax() for keys in windows])
    return {
        "mode_mean": float(modes.mean()), "mode_spread": float(modes.std()), "major_share": float((modes > 0).mean()),
        "key_clarity": float(np.mean([keys.max() for keys in windows])),
        "key_changes": float((np.diff(tonics) != 0).mean()) if len(tonics) > 1 else 0.0,
    }  # fmt: skip


def _rhythm(onset: Floats) -> dict[str, float]:
    """Onsets a second, tempo, and how clear the pulse is."""
    peaks = (onset[1:-1] > onset[:-2]) & (onset[1:-1] >= onset[2:]) & (onset[1:-1] > onset.mean() + 0.5 * onset.std())
    centred = onset - onset.mean()
    size = 1 << int(np.ceil(np.log2(2 * len(centred))))
    spectrum = np.fft.rfft(centred, size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size)[: len(centred)]
    correlation = correlation / (correlation[0] + FLOOR)
    lags = np.arange(1, len(correlation))
    bpm = 60 / (lags * FRAME_S)
    range_ = (bpm >= 40) & (bpm <= 240)
    prior = np.exp(-0.5 * (np.log2(bpm[range_] / 120) / 1.0) ** 2)  # people tap near 120
    scores = correlation[1:][range_]
    best = int((np.maximum(scores, 0) * prior).argmax())
    return {
        "onset_rate": float(peaks.sum() / (len(onset) * FRAME_S)),
        "onset_mean": float(onset.mean()),
        "onset_spread": float(onset.std()),
        "tempo": float(np.log2(bpm[range_][best])),
        "pulse_clarity": float(scores[best]),
        "pulse_most": float(scores.max()),
    }


@dataclass(frozen=True)
class LinearModel:
    """names : of the features; mean, scale [shape=(128,)]; weights [shape=(128, n_labels)]; bias [shape=(n_labels,)]."""

    names: list[str]
    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats
    C: float

    def probabilities(self, X: Floats) -> Floats:  # noqa: N803
        """Float in [0, 1] [shape=(n, n_labels)], rows add up to 1."""
        return _softmax(_standardised(X, self.mean, self.scale) @ self.weights + self.bias)

    def why(self, X: Floats, *, most: int = 6) -> list[list[tuple[str, float]]]:  # noqa: N803
        """What spoke for the most probable label of each row: the features that moved its score furthest from the other labels' mean.

        Exact for a linear model: standardised value times weight, less the mean over the labels; positive spoke for it.
        Strongest first, at most `most` a row.
        """
        Z = _standardised(X, self.mean, self.scale)  # noqa: N806
        parts = Z[:, :, None] * (self.weights - self.weights.mean(axis=1, keepdims=True))  # n, features, labels
        predicted = self.probabilities(X).argmax(axis=1)
        mine = parts[np.arange(len(Z)), :, predicted]
        strongest = np.argsort(-np.abs(mine), axis=1)[:, :most]
        return [
            [(self.names[place], round(float(row[place]), 4)) for place in places]
            for row, places in zip(mine, strongest, strict=True)
        ]

    def as_arrays(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("mean", "scale", "weights", "bias", "C")}
        return {"names": np.array(self.names), **values}

    @classmethod
    def of_arrays(cls, arrays: Any) -> "LinearModel":
        return cls(
            [str(name) for name in arrays["names"]],
            arrays["mean"],
            arrays["scale"],
            arrays["weights"],
            arrays["bias"],
            float(arrays["C"]),
        )


MOST_DEVIATIONS = 4.0  # a feature further out is as far as that: one odd track must not decide alone
CHOICES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # inverse strengths of the penalty
AVERAGED = 3
INNER_FOLDS = 5


def fit(X: Floats, shares: Floats, groups: list[str], *, names: list[str], seed: int) -> LinearModel:  # noqa: N803
    """Multinomial logistic regression on vote shares; the penalty by grouped cross-validation inside these tracks (log-loss).

    Log-loss likes a strong penalty, which flattens probabilities more than it orders them: the chosen model and the next two, with
    weaker penalties, are averaged. Averages of their scores are the scores of one linear model again.

    Raises
    ------
    ValueError
        Fewer than two labels have votes, or lengths differ.
    """
    if len(X) != len(shares) or len(X) != len(groups):
        raise ValueError(f"{len(X)} rows of features, {len(shares)} of shares and {len(groups)} groups")
    if np.count_nonzero(shares.sum(axis=0)) < 2:
        raise ValueError("there is only one label: nothing to tell apart")
    folds = group_folds(groups, seed)
    if not folds.any():  # one group: nothing to choose by
        return fit_at(X, shares, names, CHOICES[len(CHOICES) // 2])
    losses = []
    for C in CHOICES:  # noqa: N806
        loss = 0.0
        for fold in range(folds.max() + 1):
            held = folds == fold
            model = fit_at(X[~held], shares[~held], names, C)
            loss -= float((shares[held] * np.log(np.maximum(model.probabilities(X[held]), 1e-12))).sum())
        losses.append(loss)
    chosen = CHOICES[int(np.argmin(losses)) :][:AVERAGED]
    models = [fit_at(X, shares, names, C) for C in chosen]
    weights, bias = (np.mean([getattr(model, name) for model in models], axis=0) for name in ("weights", "bias"))
    return replace(models[0], weights=weights, bias=bias)


def group_folds(groups: list[str], seed: int, n: int = INNER_FOLDS) -> NDArray[np.intp]:
    """The fold of each track: whole groups, the largest first to the emptiest fold."""
    rng = np.random.default_rng(seed)
    found, index, sizes = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    n_folds = min(n, len(found))
    fold_of, filled = np.zeros(len(found), np.intp), np.zeros(n_folds)
    order = rng.permutation(len(found))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[group] = int(filled.argmin())
        filled[fold_of[group]] += sizes[group]
    return fold_of[index]


def fit_at(X: Floats, shares: Floats, names: list[str], C: float) -> LinearModel:  # noqa: N803
    """Newton-like minimisation (L-BFGS) of the cross-entropy to the shares plus the ridge penalty 1 / (2 C)."""
    from scipy.optimize import minimize

    mean, scale = X.mean(axis=0), X.std(axis=0)
    scale = np.where(scale > 1e-12, scale, 1.0)
    Z = _standardised(X, mean, scale)  # noqa: N806
    n, d, k = len(Z), Z.shape[1], shares.shape[1]

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights, bias = flat[: d * k].reshape(d, k), flat[d * k :]
        q = _softmax(Z @ weights + bias)
        loss = -float((shares * np.log(np.maximum(q, 1e-300))).sum()) + float((weights**2).sum()) / (2 * C)
        error = q - shares
        return loss, np.concatenate([(Z.T @ error + weights / C).ravel(), error.sum(axis=0)])

    start = np.zeros(d * k + k)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-10 * max(n, 1)}).x
    return LinearModel(names, mean, scale, found[: d * k].reshape(d, k), found[d * k :], C)


def _standardised(X: Floats, mean: Floats, scale: Floats) -> Floats:  # noqa: N803
    return np.clip((X - mean) / scale, -MOST_DEVIATIONS, MOST_DEVIATIONS)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
