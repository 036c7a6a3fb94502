import itertools
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from datasets.methods import audio
from tests.conftest import tone


def convert(source: Path, tmp_path: Path) -> Path:
    target = tmp_path / "out.wav"
    audio.convert(source, target, max_duration_s=600)
    return target


def encoded(wav: Path, suffix: str, *options: str) -> Path:
    target = wav.with_suffix(suffix)
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", "-i", wav, *options, target], check=True)
    return target


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".mp3", ()),
        (".flac", ()),
        (".ogg", ("-c:a", "libvorbis")),
        (".m4a", ()),
        (".wav", ("-ar", "8000", "-ac", "2")),
        (".opus", ()),
    ],
)
def test_common_formats_become_22050_hz_mono_wav_of_their_length(wav_file, tmp_path, suffix, options):
    source = wav_file(3.0, name="source.wav")
    original = encoded(source, f".x{suffix}", *options)
    assert audio.probe(original).sample_rate in (8000, 22050, 44100, 48000)
    target = convert(original, tmp_path)
    with wave.open(str(target)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
    assert audio.wav_duration(target) == pytest.approx(3.0, abs=0.1)


def test_a_wrong_extension_does_not_matter(wav_file, tmp_path):
    mp3 = encoded(wav_file(2.0), ".mp3")
    renamed = mp3.rename(tmp_path / "song.txt")
    assert audio.probe(renamed).codec.startswith("mp3")
    assert audio.wav_duration(convert(renamed, tmp_path)) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html><script>alert(1)</script></html>" * 20, "not a recording"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "no sound"),
        (tone(0.0), "0 seconds"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(tmp_path, content, reason):
    path = tmp_path / "x.mp3"
    path.write_bytes(content)
    with pytest.raises(audio.AudioUnreadable, match=reason):
        audio.probe(path)


def test_a_picture_with_no_sound_is_refused(tmp_path):
    path = tmp_path / "film.mp4"
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", path], check=True)
    with pytest.raises(audio.AudioUnreadable, match="no sound"):
        audio.probe(path)


def test_a_truncated_file_gives_what_is_there(wav_file, tmp_path):
    mp3 = encoded(wav_file(4.0), ".mp3")
    mp3.write_bytes(mp3.read_bytes()[: mp3.stat().st_size // 2])
    assert 1.5 < audio.wav_duration(convert(mp3, tmp_path)) < 2.5


def test_a_truncated_header_is_refused(wav_file, tmp_path):
    flac = encoded(wav_file(2.0), ".flac")
    flac.write_bytes(flac.read_bytes()[:60])
    with pytest.raises(audio.AudioUnreadable):
        audio.probe(flac)


def test_too_short_and_too_long_are_refused(wav_file, tmp_path):
    with pytest.raises(audio.AudioUnreadable, match=r"0\.20 seconds"):
        audio.convert(wav_file(0.2), tmp_path / "a.wav", max_duration_s=60)
    with pytest.raises(audio.AudioUnreadable, match="longer than"):
        audio.convert(wav_file(6.0), tmp_path / "b.wav", max_duration_s=3)


def test_one_second_is_enough(wav_file, tmp_path):
    assert audio.wav_duration(convert(wav_file(1.0), tmp_path)) == pytest.approx(1.0, abs=0.01)


def test_peaks_are_the_loudest_samples_of_equal_stretches(wav_file):
    path = wav_file(1.0)
    y = np.abs(audio.read_wav(path))
    edges = np.linspace(0, len(y), 51).astype(int)
    expected = [round(100 * float(y[a:b].max())) for a, b in itertools.pairwise(edges)]
    assert audio.peaks(path, 50) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.MP3", "mp3"), ("../../etc/passwd", "bin"), ("x.mp3/..", "bin"), ("noext", "bin"), ("a.<b>", "bin")]
)
def test_a_file_name_gives_only_a_harmless_extension(name, suffix):
    assert audio.safe_suffix(name) == suffix
