"""Hand-made features against what their names promise and against librosa, and the linear model against scikit-learn."""

import numpy as np
import pytest

from mer.errors import SpectrogramImpossible
from mer.methods import features

SR = features.SR


def tone(*hertz: float, seconds: float = 4.0, level: float = 0.3) -> np.ndarray:
    t = np.arange(int(seconds * SR)) / SR
    return (level * sum(np.sin(2 * np.pi * f * t) for f in hertz) / len(hertz)).astype(np.float32)


def clicks(bpm: float, seconds: float = 12.0) -> np.ndarray:
    y = np.zeros(int(seconds * SR), np.float32)
    burst = (np.random.default_rng(1).standard_normal(800) * np.exp(-np.arange(800) / 150)).astype(np.float32)
    for start in (np.arange(0, seconds - 0.1, 60 / bpm) * SR).astype(int):
        y[start : start + 800] += 0.5 * burst
    return y


def test_every_recording_has_the_same_finite_numbers():
    rng = np.random.default_rng(2)
    one, other = features.extract(tone(440)), features.extract(rng.standard_normal(9 * SR).astype(np.float32) / 4)
    assert list(one) == list(other) and len(one) == 128
    assert np.isfinite(list(one.values())).all() and np.isfinite(list(other.values())).all()


def test_a_long_track_read_in_blocks_has_the_numbers_of_one_block(monkeypatch):
    y = clicks(100) + tone(220, 330, seconds=12.0)
    whole = features.extract(y)
    monkeypatch.setattr(features, "BLOCK", 7)
    assert features.extract(y) == pytest.approx(whole, rel=1e-6, abs=1e-9)


def test_timbre_is_librosas():
    import librosa

    y = (clicks(120) + tone(300, 900, 2500, seconds=12.0)).astype(np.float32)
    found = features.extract(y)
    given = {"y": y, "sr": SR, "n_fft": 2048, "hop_length": 512, "center": False}
    assert found["centroid_mean"] == pytest.approx(librosa.feature.spectral_centroid(S=np.abs(librosa.stft(y, n_fft=2048, hop_length=512, center=False)) ** 2, sr=SR).mean(), rel=0.01)  # fmt: skip
    mel = librosa.feature.melspectrogram(**given, n_mels=40)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel, amin=1e-10, top_db=80), n_mfcc=20, norm="ortho")
    for number in range(20):
        assert found[f"mfcc_{number}_mean"] == pytest.approx(mfcc[number].mean(), rel=0.02, abs=0.3)


def test_major_minor_tempo_and_dynamics_are_told_apart():
    c, e_flat, e, g = 261.63, 311.13, 329.63, 392.0
    major, minor = features.extract(tone(c, e, g)), features.extract(tone(c, e_flat, g))
    assert major["mode"] > minor["mode"]
    assert 2 ** features.extract(clicks(90))["tempo"] == pytest.approx(90, rel=0.04)
    assert features.extract(clicks(140))["onset_rate"] == pytest.approx(140 / 60, rel=0.15)
    steady = tone(440, seconds=8.0)
    swelling = steady * np.linspace(0.02, 1, len(steady), dtype=np.float32)
    assert features.extract(swelling)["level_range"] > features.extract(steady)["level_range"] + 10


def test_what_cannot_be_measured_says_why():
    with pytest.raises(SpectrogramImpossible, match="Too short"):
        features.extract(np.ones(SR, np.float32))
    with pytest.raises(SpectrogramImpossible, match="Silent"):
        features.extract(np.zeros(5 * SR, np.float32))


def test_the_fit_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    X = rng.standard_normal((90, 6))
    labels = (X[:, 0] + 0.5 * rng.standard_normal(90) > 0).astype(int) + (X[:, 1] > 0.6)
    model = features.fit_at(X, np.eye(3)[labels], list("abcdef"), 0.3)
    Z = np.clip((X - X.mean(axis=0)) / X.std(axis=0), -4, 4)
    theirs = LogisticRegression(C=0.3, max_iter=5000, tol=1e-8).fit(Z, labels)
    assert model.probabilities(X) == pytest.approx(theirs.predict_proba(Z), abs=2e-3)


def test_the_penalty_is_chosen_inside_the_training_tracks_and_the_fit_repeats():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((60, 128))
    shares = rng.dirichlet([1, 1, 1], 60)
    groups = [f"artist {number // 3}" for number in range(60)]
    one, other = (features.fit(X, shares, groups, names=[str(n) for n in range(128)], seed=5) for _ in range(2))
    assert one.C <= 0.01  # noise: a strong penalty
    assert (one.weights == other.weights).all()
    folds = features.group_folds(groups, seed=1)
    assert all(len(set(folds[np.array(groups) == group])) == 1 for group in groups)
    with pytest.raises(ValueError, match="only one label"):
        features.fit(X, np.eye(3)[np.zeros(60, int)], groups, names=[], seed=1)


def test_mel_means_are_those_of_librosa():
    import librosa

    rng = np.random.default_rng(2)
    y = (rng.normal(size=3 * features.SR) * 0.1).astype(np.float32)
    S = librosa.feature.melspectrogram(y=y, sr=features.SR, n_fft=features.N_FFT, hop_length=features.HOP, n_mels=128, center=False)
    found = features.mel_means(y)
    expected = librosa.power_to_db(S, ref=1.0, amin=1e-10, top_db=80).mean(axis=1)
    assert [found[f"mel_{number}_mean"] for number in range(128)] == pytest.approx(list(expected), abs=0.01)
    with pytest.raises(SpectrogramImpossible):
        features.mel_means(np.zeros(10 * features.SR, np.float32))
