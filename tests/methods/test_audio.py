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


def probe(source: Path, tmp_path: Path) -> audio.Probe:
    return audio.convert(source, tmp_path / "probed.wav", max_duration_s=600).probe


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
    assert probe(original, tmp_path).sample_rate in (8000, 22050, 44100, 48000)
    target = convert(original, tmp_path)
    with wave.open(str(target)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
    assert audio.wav_duration(target) == pytest.approx(3.0, abs=0.1)


def test_a_wrong_extension_does_not_matter(wav_file, tmp_path):
    mp3 = encoded(wav_file(2.0), ".mp3")
    renamed = mp3.rename(tmp_path / "song.txt")
    assert probe(renamed, tmp_path).codec.startswith("mp3")
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
        probe(path, tmp_path)


def test_a_picture_with_no_sound_is_refused(tmp_path):
    path = tmp_path / "film.mp4"
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", path], check=True)
    with pytest.raises(audio.AudioUnreadable, match="no sound"):
        probe(path, tmp_path)


def test_a_truncated_file_gives_what_is_there(wav_file, tmp_path):
    mp3 = encoded(wav_file(4.0), ".mp3")
    mp3.write_bytes(mp3.read_bytes()[: mp3.stat().st_size // 2])
    assert 1.5 < audio.wav_duration(convert(mp3, tmp_path)) < 2.5


def test_a_truncated_header_is_refused(wav_file, tmp_path):
    flac = encoded(wav_file(2.0), ".flac")
    flac.write_bytes(flac.read_bytes()[:60])
    with pytest.raises(audio.AudioUnreadable):
        probe(flac, tmp_path)


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
    assert audio.measure(path, 50).peaks == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.MP3", "mp3"), ("../../etc/passwd", "bin"), ("x.mp3/..", "bin"), ("noext", "bin"), ("a.<b>", "bin")]
)
def test_a_file_name_gives_only_a_harmless_extension(name, suffix):
    assert audio.safe_suffix(name) == suffix


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6), ("7.1", 8)])
@pytest.mark.parametrize("rate", ["8000", "44100", "192000"])
def test_any_rate_and_number_of_channels_is_named_and_becomes_one_channel(wav_file, tmp_path, layout, channels, rate):
    source = encoded(wav_file(1.0), ".x.wav", "-ar", rate, "-af", f"aformat=channel_layouts={layout}")
    found = probe(source, tmp_path)
    assert (found.codec, found.sample_rate, found.channels) == ("pcm_s16le", int(rate), channels)
    assert found.claimed_s == pytest.approx(1.0, abs=0.02)


def test_the_wav_is_what_plain_ffmpeg_writes(wav_file, tmp_path):
    source = encoded(wav_file(3.0), ".x.flac", "-ar", "44100", "-ac", "2")
    plain = encoded(source, ".plain.wav", "-ac", "1", "-ar", "22050")
    ours, theirs = audio.read_wav(convert(source, tmp_path)), audio.read_wav(plain)
    assert len(ours) == len(theirs) and np.abs(ours - theirs).max() <= 2 / 32768


def test_a_stretch_of_the_original_becomes_the_track(wav_file, tmp_path):
    source = encoded(wav_file(6.0), ".flac")
    target = tmp_path / "part.wav"
    converted = audio.convert(source, target, max_duration_s=600, start_s=1.5, end_s=4.0)
    whole = audio.read_wav(convert(source, tmp_path))
    assert converted.duration_s == pytest.approx(2.5, abs=0.001)
    begin = round(1.5 * 22_050)
    part = audio.read_wav(target)
    assert np.abs(part - whole[begin : begin + len(part)]).max() <= 2 / 32768


def test_the_loudness_is_that_of_a_pass_of_its_own(wav_file, tmp_path):
    target = tmp_path / "out.wav"
    measured = audio.convert(encoded(wav_file(5.0), ".mp3"), target, max_duration_s=60).loudness
    line = [get_ffmpeg_exe(), "-nostats", "-i", target, "-af", "ebur128=framelog=quiet:peak=sample", "-f", "null", "-"]
    said = subprocess.run(line, capture_output=True, check=True, text=True).stderr
    assert f"I:         {measured.integrated_lufs:.1f} LUFS" in said and f"Peak:       {measured.peak_db:.1f} dBFS" in said


def test_silence_and_clipping_are_shares(tmp_path):
    y = np.concatenate([np.zeros(22_050), np.full(11_025, 32_767), 8_000 * np.ones(11_025)]).astype("<i2")
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(22_050)
        file.writeframes(y.tobytes())
    found = audio.measure(path)
    assert found.silence_share == pytest.approx(0.5, abs=0.01) and found.clipped_share == pytest.approx(0.25)


def test_what_unpacks_into_more_than_it_may_is_stopped(tmp_path):
    path = tmp_path / "bomb.flac"
    line = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono:d=3600", path]
    subprocess.run(line, check=True)
    assert path.stat().st_size < 3_000_000
    target = tmp_path / "out.wav"
    with pytest.raises(audio.AudioUnreadable, match="longer than 1 minutes"):
        audio.convert(path, target, max_duration_s=60)
    assert target.stat().st_size < 70 * 22_050 * 2
