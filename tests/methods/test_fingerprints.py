"""The same recording is found again in another encoding or with other edges, and different ones are told apart."""

import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe

from datasets.methods import audio, fingerprints


def melody(path: Path, seed: int, seconds: float = 40) -> Path:
    """Notes of a seeded scale with a few overtones: what a fingerprint can get hold of."""
    rng, sr = np.random.default_rng(seed), 22_050
    y = np.zeros(int(seconds * sr))
    for beat in np.arange(0, seconds - 0.5, 0.25):
        f = 110 * 2 ** (rng.integers(0, 36) / 12)
        t = np.arange(int(0.4 * sr)) / sr
        note = sum(np.sin(2 * np.pi * f * k * t) / k for k in range(1, 5)) * np.exp(-4 * t)
        start = int(beat * sr)
        y[start : start + note.size] += 0.1 * note[: y.size - start]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sr)
        file.writeframes((y * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return path


def items_of(path: Path, tmp_path: Path) -> fingerprints.Items:
    return fingerprints.read_items(audio.convert(path, tmp_path / "out.wav", max_duration_s=600).fingerprint)


def encoded(source: Path, target: Path, *options: str) -> Path:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *options, "-i", str(source), "-b:a", "48k", str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("melodies")
    return [melody(folder / f"{seed}.wav", seed) for seed in range(6)]


def test_another_encoding_is_the_same(pieces, tmp_path):
    first, second = items_of(pieces[0], tmp_path), items_of(encoded(pieces[0], tmp_path / "a.mp3"), tmp_path)
    found = fingerprints.match(first, second)
    assert found is not None
    assert abs(found.offset_s) < 0.3
    assert found.similarity > 0.85
    assert set(fingerprints.keys(first)) & set(fingerprints.keys(second))


def test_another_beginning_is_the_same_and_says_where_it_begins(pieces, tmp_path):
    first = items_of(pieces[1], tmp_path)
    second = items_of(encoded(pieces[1], tmp_path / "a.ogg", "-ss", "9"), tmp_path)
    assert fingerprints.match(first, second).offset_s == pytest.approx(9, abs=0.3)
    assert fingerprints.match(second, first).offset_s == pytest.approx(-9, abs=0.3)


def test_two_short_cuts_that_share_twenty_seconds_meet_in_a_key(pieces, tmp_path):
    found = []
    for number, piece in enumerate(pieces):
        first = items_of(encoded(piece, tmp_path / f"{number}.mp3", "-t", "30"), tmp_path)
        second = items_of(encoded(piece, tmp_path / f"{number}.ogg", "-ss", "10"), tmp_path)
        assert fingerprints.match(first, second) is not None
        found.append(bool(set(fingerprints.keys(first)) & set(fingerprints.keys(second))))
    assert all(found)


def test_the_keys_of_a_long_recording_are_keys_of_a_short_one_too():
    items = np.random.default_rng(1).integers(0, 2**32, size=fingerprints.SHORT, dtype=np.uint32)
    assert set(fingerprints.keys(items)) & set(map(int, items[:-1])) <= set(fingerprints.keys(items[:-1]))


def test_different_pieces_are_different(pieces, tmp_path):
    printed = [items_of(piece, tmp_path) for piece in pieces]
    for index, one in enumerate(printed):
        for other in printed[index + 1 :]:
            assert fingerprints.match(one, other) is None


def test_a_short_common_stretch_is_not_the_same_recording(pieces, tmp_path):
    one, other = items_of(pieces[2], tmp_path), items_of(pieces[3], tmp_path)
    mixed = np.concatenate([one[:60], other])
    assert fingerprints.match(mixed, one) is None


def test_nothing_matches_nothing():
    empty = np.empty(0, np.uint32)
    assert fingerprints.match(empty, empty) is None
    assert fingerprints.keys(empty) == []


@given(st.lists(st.integers(0, 2**32 - 1), min_size=120, max_size=400, unique=True), st.integers(0, 30))
def test_any_recording_is_found_in_itself_wherever_it_begins(values, start):
    items = np.array(values, dtype=np.uint32)
    found = fingerprints.match(items, items[start:])
    assert found is not None
    assert found.offset_s == pytest.approx(start * fingerprints.ITEM_S)
    assert found.similarity == 1
    assert set(fingerprints.keys(items[start:])) <= set(fingerprints.keys(items))
