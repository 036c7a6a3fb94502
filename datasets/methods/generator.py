"""A small seeded composer for the demo: synthetic pieces whose mode, tempo, register and timbre follow an emotion.

Not music research: the pieces exist so that a newcomer has something to hear, rate and train on. The directions are the
textbook ones [1]_: major and fast sound positive, slow and soft sound calm, minor sounds negative.

References
----------
.. [1] A. Gabrielsson, E. Lindström. The role of structure in the musical expression of emotions. In: Juslin & Sloboda
       (eds.), Handbook of Music and Emotion, Oxford University Press, 2010.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 22_050
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
PROGRESSIONS = ((0, 4, 5, 3), (0, 3, 4, 0), (5, 3, 0, 4), (0, 5, 3, 4))
WORD_ANGLES = {
    "happy": 7.8,
    "excited": 48.6,
    "angry": 99.0,
    "frustrated": 141.0,
    "sad": 207.5,
    "bored": 242.0,
    "calm": 316.2,
    "relaxed": 318.0,
    "pleased": 353.2,
}  # degrees; fmt: skip
TITLES = ("Etude", "Sketch", "Interlude", "Miniature", "Prelude", "Study")


@dataclass(frozen=True)
class Piece:
    """valence, arousal : float in [-1, 1]. y : float32 samples in [-1, 1] [shape=(n,)], 22,050 Hz."""

    title: str
    composer: str
    valence: float
    arousal: float
    y: NDArray[np.float32]


def compose(number: int, *, seed: int = 2021, duration_s: float = 54.0) -> Piece:
    """The piece with this number; the same number and seed always give the same samples."""
    valence, arousal = place_of(number, seed=seed)
    rng = np.random.default_rng([seed, number, 1])
    scale = MAJOR if valence > 0 else MINOR
    beat_s = 60 / (92 + 52 * arousal)
    root = 57 + int(rng.integers(-4, 5)) + round(5 * valence)
    brightness = 0.45 + 0.3 * (arousal + valence) / 2
    chords = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]

    y = np.zeros(int((duration_s + 3) * SAMPLE_RATE), dtype=np.float32)
    bar_s = 4 * beat_s
    for bar in range(int(duration_s / bar_s) + 1):
        start = bar * bar_s
        chord = chords[bar % len(chords)]
        for step in (0, 2, 4):
            _add(y, start, bar_s * 1.05, root - 12 + _pitch(scale, chord + step), 0.10, brightness * 0.6, attack=0.04)
        _melody(y, rng, start, beat_s, root, scale, chord, arousal, brightness)
    y = y[: int(duration_s * SAMPLE_RATE)]
    y[-SAMPLE_RATE:] *= np.linspace(1, 0, SAMPLE_RATE, dtype=np.float32)
    y *= np.float32(0.7 / max(1e-6, float(np.abs(y).max())))
    title = f"{TITLES[number % len(TITLES)]} No. {number + 1}"
    return Piece(title, f"Generator {chr(65 + number % 26)}", valence, arousal, y)


def place_of(number: int, *, seed: int = 2021) -> tuple[float, float]:
    """Valence and arousal of the piece with this number, each in [-1, 1]; a third of the pieces near each label's place."""
    rng = np.random.default_rng([seed, number])
    centre = ((0.65, 0.45), (0.35, -0.65), (-0.65, -0.1))[number % 3]
    valence, arousal = np.clip(rng.normal(centre, 0.2), -1, 1)
    return float(valence), float(arousal)


def word_at(valence: float, arousal: float) -> str:
    """The nearest of the paper's nine words by angle in Russell's circumplex (J. Pers. Soc. Psychol. 39, 1980)."""
    angle = np.degrees(np.arctan2(arousal, valence)) % 360
    return min(WORD_ANGLES, key=lambda word: abs((WORD_ANGLES[word] - angle + 180) % 360 - 180))


def _pitch(scale: tuple[int, ...], degree: int) -> int:
    return scale[degree % 7] + 12 * (degree // 7)


def _melody(
    y: NDArray[np.float32], rng: np.random.Generator, start: float, beat_s: float, root: int, scale: tuple[int, ...], chord: int,
    arousal: float, brightness: float,
) -> None:  # fmt: skip
    """One bar of melody: more and shorter notes the more aroused the piece is."""
    notes = 8 if arousal > 0.3 else 4 if arousal > -0.4 else 2
    for index in range(notes):
        if rng.random() < 0.15:
            continue
        degree = chord + int(rng.choice((0, 2, 4, 1, 5, 7), p=(0.3, 0.22, 0.2, 0.1, 0.1, 0.08)))
        at = start + index * 4 * beat_s / notes
        loudness = 0.16 + 0.08 * arousal + rng.normal(0, 0.01)
        _add(
            y,
            at,
            4 * beat_s / notes * (0.75 if arousal > 0 else 1.15),
            root + 12 + _pitch(scale, degree),
            loudness,
            brightness,
            attack=0.012,
        )


def _add(
    y: NDArray[np.float32], at: float, length_s: float, midi: int, loudness: float, brightness: float, *, attack: float
) -> None:
    """Add one note: six harmonics that fall off with `brightness`, a short attack and an exponential decay."""
    first = int(at * SAMPLE_RATE)
    n = min(int(length_s * SAMPLE_RATE), len(y) - first)
    if n <= 0:
        return
    t = np.arange(n, dtype=np.float32) / np.float32(SAMPLE_RATE)
    frequency = 440.0 * 2 ** ((midi - 69) / 12)
    harmonics = np.arange(1, 7, dtype=np.float32)[:, None]
    weights = np.float32(brightness) ** (harmonics - 1)
    tone = (weights * np.sin(2 * np.pi * np.float32(frequency) * harmonics * t)).sum(axis=0)
    envelope = np.minimum(t / np.float32(attack), 1) * np.exp(-t * np.float32(1.6 / max(length_s, 0.1)))
    envelope *= np.minimum((n - np.arange(n)) / (0.02 * SAMPLE_RATE), 1)
    y[first : first + n] += (np.float32(loudness) * envelope * tone).astype(np.float32)
