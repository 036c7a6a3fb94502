"""Mel spectrograms as 8-bit grey pictures: Algorithm 1 of the paper.

A recording becomes S, a mel power spectrogram (librosa's filters and definitions), then decibels, then grey levels: low
frequencies at the bottom, dark where there is energy, as the paper's figure shows it.

Conventions
-----------
y : float32 samples in [-1, 1] [shape=(n,)], mono, `params.sr` Hz.
S : float32 mel power spectrogram [shape=(n_mels, time_steps)], row 0 is the lowest band.
picture : uint8 [shape=(n_mels, time_steps)], row 0 is the highest band, 0 is loud and 255 is silent.
"""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import SpectrogramImpossible
from mer.methods.params import INPUTS, RECIPES, SpectrogramParams


def windows(y: NDArray[np.float32], params: SpectrogramParams) -> list[NDArray[np.float32]]:
    """The samples of each picture, every one `params.window_samples` long.

    `full` : the beginning. `clips` : as many whole clips as there are; what is left over is dropped, but where it still fills all columns (up
    to 46 ms are missing, as a decoder may leave them out): then silence fills it up. `whole` : consecutive windows; the
    last is filled up with silence where at least half of it is sound, else dropped.

    Raises
    ------
    SpectrogramImpossible
        The track is shorter than one picture (`whole` : than half of one).
    """
    size, enough = params.window_samples, INPUTS[params.input].enough
    if len(y) % size >= enough:
        y = np.pad(y, (0, size - len(y) % size))
    if len(y) < size:
        raise SpectrogramImpossible(
            f"Too short: {len(y) / params.sr:.1f} s of sound, and {enough / params.sr:.2f} s are needed to fill {params.columns} columns."
        )
    n = len(y) // size if INPUTS[params.input].every else 1
    return [y[start : start + size] for start in range(0, n * size, size)]


def pictures(y: NDArray[np.float32], params: SpectrogramParams) -> NDArray[np.uint8]:
    """Every picture of a track [shape=(n, n_mels, time_steps)]; windows without sound are left out.

    Raises
    ------
    SpectrogramImpossible
        The track is too short, or silent.
    """
    return pictures_at(y, params)[1]


def pictures_at(y: NDArray[np.float32], params: SpectrogramParams) -> tuple[list[float], NDArray[np.uint8]]:
    """The same with the second at which each begins."""
    every = windows(y, params)
    places = [place for place, window in enumerate(every) if np.any(window)]
    found = [every[place] for place in places]
    if not found:
        where = "all of it holds" if INPUTS[params.input].every else f"the first {params.window_s:.2f} s hold"
        raise SpectrogramImpossible(f"Silent: {where} no sound.")
    drawn = [to_picture(_transform(window, params), params) for window in found]
    missing = params.time_steps - params.columns
    padded = np.stack([np.pad(picture, ((0, 0), (0, missing)), constant_values=255) for picture in drawn])
    return [place * params.window_s for place in places], padded


def mel_spectrogram(y: NDArray[np.float32], params: SpectrogramParams) -> NDArray[np.float32]:
    """S of the first `params.window_samples` samples of `y`.

    The same numbers as librosa's `melspectrogram(y=..., center=True, power=2)` on those samples, without its last column where that is
    one too many: a centred transform of 256 x 4096 samples has 257 columns, and the picture 256.

    Raises
    ------
    SpectrogramImpossible
        The track is shorter than the picture, or silent.
    """
    window = windows(y, params)[0]
    if not np.any(window):
        raise SpectrogramImpossible(f"Silent: the first {params.window_s:.2f} s hold no sound.")
    return _transform(window, params)


FRAMES_AT_ONCE = 64  # they stay in the processor's cache, which two workers share


def _transform(window: NDArray[np.float32], params: SpectrogramParams) -> NDArray[np.float32]:
    padded = np.pad(window, params.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, params.n_fft)[:: params.hop_length][: params.columns]
    hann = np.hanning(params.n_fft + 1)[:-1].astype(np.float32)  # periodic, as scipy's and librosa's
    import scipy.fft  # five times as fast as numpy's on float32; like librosa, only where a spectrogram is made

    bank = _mel_filters(params.sr, params.n_fft, params.n_mels)
    S = np.empty((params.n_mels, len(frames)), np.float32)  # noqa: N806  (librosa's name)
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        spectrum = scipy.fft.rfft(frames[start : start + FRAMES_AT_ONCE] * hann, axis=1)
        S[:, start : start + FRAMES_AT_ONCE] = bank @ (spectrum.real**2 + spectrum.imag**2).T
    return S


@lru_cache(maxsize=4)
def _mel_filters(sr: int, n_fft: int, n_mels: int) -> Any:
    """The mel bank [shape=(n_mels, 1 + n_fft / 2)], sparse: each band touches few frequencies, and no second core is asked for."""
    import librosa.filters  # a second to import: only when a spectrogram is made
    import scipy.sparse

    return scipy.sparse.csr_array(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels).astype(np.float32))


def to_picture(S: NDArray[np.float32], params: SpectrogramParams) -> NDArray[np.uint8]:  # noqa: N803  (librosa's name)
    """Grey levels of S: decibels, stretched to 0-255, turned upside down, dark on white."""
    level = 10 * np.log10(S.astype(np.float64) + params.log_floor)
    clamp_db = RECIPES[params.recipe].clamp_db
    if clamp_db is not None:
        level = np.maximum(level, level.max() - clamp_db)
    low, high = level.min(), level.max()
    if high - low < 1e-9:
        raise SpectrogramImpossible("Every cell of the spectrogram is the same: there is nothing to learn from.")
    grey = np.clip((level - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return np.asarray(255 - grey[::-1], dtype=np.uint8)


def png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=False)
    return buffer.getvalue()


OVERLAY = (214, 76, 0)  # orange: seen on grey by the colour-blind too


def overlay(weights: NDArray[np.uint8]) -> bytes:
    """A PNG to lay over a picture: one colour, as opaque as the weight of a cell (0-255) [shape=(n, m)]."""
    from PIL import Image

    buffer = io.BytesIO()
    colour = np.broadcast_to(np.array(OVERLAY, np.uint8), (*weights.shape, 3))
    Image.fromarray(np.dstack([colour, weights])).save(buffer, "png")
    return buffer.getvalue()


def stacked(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures of a track one below the other, as they are kept [shape=(n * n_mels, time_steps)]."""
    return found.reshape(-1, found.shape[-1])


def read_png(content: bytes, *, n_mels: int = 128) -> NDArray[np.uint8]:
    """The pictures of a track [shape=(n, n_mels, time_steps)]."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    return image.reshape(-1, n_mels, image.shape[1])
