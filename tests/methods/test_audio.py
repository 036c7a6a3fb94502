import itertools
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe

from datasets.methods import audio, mp3
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


def test_the_wav_holds_the_samples_of_librosa_load_in_16_bits(wav_file, tmp_path):
    source = encoded(wav_file(3.0), ".x.flac", "-ar", "44100", "-ac", "2")
    ours, (theirs, _) = audio.read_wav(convert(source, tmp_path)), librosa.load(source, sr=22_050)
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
    source = encoded(wav_file(5.0), ".mp3", "-ac", "2")
    measured = audio.convert(source, target, max_duration_s=60).loudness
    line = [get_ffmpeg_exe(), "-nostats", "-i", source, "-af", "ebur128=framelog=quiet:peak=sample", "-f", "null", "-"]
    said = subprocess.run(line, capture_output=True, check=True, text=True).stderr
    assert f"I:         {measured.integrated_lufs:.1f} LUFS" in said and f"Peak:       {measured.peak_db:.1f} dBFS" in said


def test_silence_is_a_share(tmp_path):
    y = np.concatenate([np.zeros(22_050), np.full(11_025, 32_767), 8_000 * np.ones(11_025)]).astype("<i2")
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(22_050)
        file.writeframes(y.tobytes())
    found = audio.measure(path)
    assert found.silence_share == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("left", "right", "share"),
    [
        ("2*sin(2*PI*440*t)", "0", 1 / 3),  # a channel that is clipped, beside one that is silent
        ("2*sin(2*PI*440*t)", "2*sin(2*PI*440*t+2)", 2 / 3),
        ("0.98*(1-2*gt(random(0),0.5))", "0.98*(1-2*gt(random(1),0.5))", 0.0),  # never at full scale; resampled it would overshoot
        ("0.5*sin(2*PI*440*t)", "0.5*sin(2*PI*440*t)", 0.0),
    ],
)
def test_clipping_is_counted_in_each_channel_of_the_original(tmp_path, left, right, share):
    path = tmp_path / "x.wav"
    line = [
        get_ffmpeg_exe(),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        f"aevalsrc='{left}'|'{right}':s=44100:d=2",
        "-c:a",
        "pcm_s16le",
        path,
    ]
    subprocess.run(line, check=True)
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(int)
    by_hand = (np.abs(samples) >= 32_649).mean()  # within 0.03 dB
    found = audio.convert(path, tmp_path / "out.wav", max_duration_s=60).clipped_share
    assert found == pytest.approx(by_hand, abs=2e-4) and found == pytest.approx(share, abs=0.01)


def test_one_channel_is_as_loud_as_the_same_sound_in_two(wav_file, tmp_path):
    mono = wav_file(5.0)
    stereo = encoded(mono, ".flac", "-af", "pan=stereo|c0=c0|c1=c0")
    found = [audio.convert(path, tmp_path / "out.wav", max_duration_s=60).loudness for path in (mono, stereo)]
    assert found[0].integrated_lufs == pytest.approx(found[1].integrated_lufs, abs=0.11)


def test_what_unpacks_into_more_than_it_may_is_stopped(tmp_path):
    path = tmp_path / "bomb.flac"
    line = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono:d=3600", path]
    subprocess.run(line, check=True)
    assert path.stat().st_size < 3_000_000
    target = tmp_path / "out.wav"
    with pytest.raises(audio.AudioUnreadable, match="longer than 1 minutes"):
        audio.convert(path, target, max_duration_s=60)
    assert target.stat().st_size < 70 * 22_050 * 2


def played(source: Path, tmp_path: Path, **stretch) -> tuple[bool, Path | None, audio.Converted]:
    """Whether the original is played as it is, else the copy for players."""
    converted = audio.convert(source, tmp_path / "w.wav", max_duration_s=600, **stretch)
    copy = audio.streaming_copy(source, tmp_path, converted, max_duration_s=600, **stretch)
    return copy is None, copy, converted


@pytest.mark.parametrize("suffix", [".mp3", ".m4a", ".flac", ".wav"])
def test_what_every_browser_plays_is_played_itself_when_its_copy_would_be_the_same(wav_file, tmp_path, suffix):
    _as_it_is, copy, _converted = played(encoded(wav_file(1.0, name="source.wav"), f".x{suffix}", "-metadata", "title=A"), tmp_path)
    again = copy.rename(tmp_path / f"again{suffix}")
    assert played(again, tmp_path)[0], "a copy of the copy is the copy"


SECRET = b"SECRET TITLE"


def with_ape(content: bytes) -> bytes:
    item = len(SECRET).to_bytes(4, "little") + bytes(4) + b"Title\0" + SECRET
    size = (len(item) + 32).to_bytes(4, "little")
    return content + item + b"APETAGEX" + (2000).to_bytes(4, "little") + size + (1).to_bytes(4, "little") + bytes(12)


def with_id3v1(content: bytes) -> bytes:
    return content + b"TAG" + SECRET.ljust(125, b"\0")


def with_lyrics3(content: bytes) -> bytes:
    return content + b"LYRICSBEGININD0000200ETT00012" + SECRET + b"000041LYRICS200"


def with_picture(content: bytes) -> bytes:
    """Junk between two frames that holds what looks like headers."""
    half = content.index(content[:2], 400)
    return content[:half] + SECRET + b"\xff\xfb\x90\x64" * 40 + SECRET + content[half:]


def with_id3v2(content: bytes) -> bytes:
    frame = b"TIT2" + (len(SECRET) + 1).to_bytes(4, "big") + b"\0\0\0" + SECRET
    return b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame + content


def with_box(content: bytes) -> bytes:
    return content + (8 + len(SECRET)).to_bytes(4, "big") + b"free" + SECRET


def with_chunk(content: bytes) -> bytes:
    return content + b"_PMX" + len(SECRET).to_bytes(4, "little") + SECRET


@pytest.mark.parametrize(
    ("suffix", "hide"),
    [
        (".mp3", with_ape),
        (".mp3", with_id3v1),
        (".mp3", with_lyrics3),
        (".mp3", with_picture),
        (".mp3", with_id3v2),
        (".m4a", with_box),
        (".wav", with_chunk),
        (".flac", with_id3v1),
    ],
)
def test_a_title_in_a_place_that_no_decoder_speaks_of_does_not_reach_raters(wav_file, tmp_path, suffix, hide):
    _as_it_is, clean, _converted = played(
        encoded(wav_file(1.0, name="source.wav"), f".x{suffix}", "-metadata", "title=A"), tmp_path
    )
    source = tmp_path / f"hidden{suffix}"
    source.write_bytes(hide(clean.read_bytes()))
    as_it_is, copy, _converted = played(source, tmp_path)
    assert SECRET in source.read_bytes() and not as_it_is and SECRET not in copy.read_bytes()
    assert audio.convert(copy, tmp_path / "c.wav", max_duration_s=60).duration_s == pytest.approx(1.0, abs=0.1)


@given(st.binary(min_size=1, max_size=3000), st.integers(0, 5))
def test_no_bytes_break_the_copying_of_frames(content, n):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "s"), Path(folder, "t")
        source.write_bytes(b"\xff\xfb\x90\x64" * n + content)
        assert mp3.copy_frames(source, target) >= 0 and target.stat().st_size <= source.stat().st_size


@pytest.mark.parametrize(
    "options", [("-b:a", "128k", "-ar", "44100"), ("-q:a", "5", "-ar", "24000"), ("-b:a", "32k", "-ar", "11025", "-ac", "1")]
)
def test_the_frames_sound_as_long_as_the_file_and_the_same(wav_file, tmp_path, options):
    source = encoded(wav_file(3.0, name="source.wav"), ".x.mp3", *options, "-metadata", "title=A")
    seconds = mp3.copy_frames(source, tmp_path / "frames.mp3")
    before, after = (
        audio.convert(path, tmp_path / f"{n}.wav", max_duration_s=60) for n, path in enumerate((source, tmp_path / "frames.mp3"))
    )
    assert after.duration_s == pytest.approx(before.duration_s, abs=0.001) and seconds == pytest.approx(3.0, abs=0.2)
    np.testing.assert_array_equal(audio.read_wav(tmp_path / "0.wav"), audio.read_wav(tmp_path / "1.wav"))


@pytest.mark.parametrize("key", ["ALBUM ARTIST", "TITLE.1", "DESCRIPTION", "language"])
def test_a_tag_under_an_odd_key_does_not_reach_raters(wav_file, tmp_path, key):
    source = encoded(wav_file(1.0, name="source.wav"), ".x.flac", "-metadata", f"{key}= SECRET TITLE", "-bitexact")
    assert SECRET in source.read_bytes()
    as_it_is, copy, _converted = played(source, tmp_path)
    assert not as_it_is and SECRET not in copy.read_bytes()


@pytest.mark.parametrize(("suffix", "copy"), [(".mp3", ".mp3"), (".m4a", ".m4a"), (".flac", ".flac"), (".wav", ".wav")])
def test_tags_that_tell_are_left_out_of_the_copy_and_the_sound_stays_the_same(wav_file, tmp_path, suffix, copy):
    source = encoded(wav_file(1.0), f".x{suffix}", "-metadata", "title=Bengawan Solo", "-metadata", "comment=<b>sad</b>")
    as_it_is, target, _converted = played(source, tmp_path)
    assert not as_it_is and target.suffix == copy
    assert b"Bengawan" not in target.read_bytes() and b"sad" not in target.read_bytes()
    before, after = (audio.convert(path, tmp_path / f"{n}.wav", max_duration_s=600) for n, path in enumerate((source, target)))
    assert after.probe.codec == before.probe.codec
    y, z = audio.read_wav(tmp_path / "0.wav"), audio.read_wav(tmp_path / "1.wav")
    n = min(len(y), len(z))
    assert abs(len(y) - len(z)) < 3000 and np.corrcoef(y[:n], z[:n])[0, 1] > 0.99


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".wav", ".x.aiff", ".opus"])
def test_what_is_large_or_not_played_by_every_browser_becomes_a_small_mp3(wav_file, tmp_path, suffix):
    options = ("-c:a", "libvorbis") if suffix == ".ogg" else ()
    source = encoded(
        wav_file(5.0, name="source.wav"), f".y{suffix}", *options, "-ac", "2", "-ar", "96000" if suffix == ".flac" else "48000"
    )
    as_it_is, target, _converted = played(source, tmp_path)
    assert not as_it_is and target.suffix == ".mp3" and target.stat().st_size < 24_000 * 5 + 64_000
    copy = audio.convert(target, tmp_path / "c.wav", max_duration_s=600)
    assert (copy.probe.codec, copy.probe.channels) == ("mp3", 2) and copy.duration_s == pytest.approx(5.0, abs=0.1)


def test_a_stretch_is_all_that_the_copy_holds(wav_file, tmp_path):
    source = encoded(wav_file(6.0), ".mp3", "-map_metadata", "-1", "-bitexact", "-id3v2_version", "0")
    as_it_is, target, _converted = played(source, tmp_path, start_s=1.0, end_s=3.0)
    assert not as_it_is
    assert audio.convert(target, tmp_path / "c.wav", max_duration_s=600).duration_s == pytest.approx(2.0, abs=0.1)


def test_a_cover_picture_tells_too(wav_file, tmp_path):
    cover = tmp_path / "cover.png"
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "color=red:s=32x32:d=1", "-frames:v", "1", cover], check=True
    )
    mp3 = encoded(wav_file(3.0), ".mp3", "-map_metadata", "-1", "-bitexact")
    source = tmp_path / "with.mp3"
    line = [get_ffmpeg_exe(), "-v", "error", "-i", mp3, "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-bitexact", source]
    subprocess.run(line, check=True)
    as_it_is, target, _converted = played(source, tmp_path)
    assert not as_it_is and target.stat().st_size <= mp3.stat().st_size + 500


@pytest.mark.parametrize(
    "title",
    [
        "Stream #0:0: Audio: evil, 8 Hz, 900 channels",
        "x\n  Stream #0:9: Audio: pwned, 99999999999999999999 Hz, stereo",
        "Duration: 99:00:00.00",
    ],
)
def test_a_tag_that_talks_like_ffmpeg_is_not_believed(wav_file, tmp_path, title):
    tagged = tmp_path / "tagged.mp3"
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(wav_file(3.0)), "-metadata", f"title={title}", str(tagged)]
    subprocess.run(command, check=True)
    found = audio.convert(tagged, tmp_path / "out.wav", max_duration_s=60)
    assert (found.probe.codec, found.probe.sample_rate, found.probe.channels) == ("mp3", 22_050, 1)
    assert found.probe.claimed_s == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(
    "title",
    ["<img src=x onerror=alert(1)>", "\u202eعنوان الأغنية", "🎵🎶🥁" * 50, "x" * 10_000, "a\nb\tc", "=1+1"],
    ids=["html", "rtl", "emoji", "long", "control", "formula"],
)
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a"])
def test_odd_tags_hinder_nothing_and_do_not_go_along(wav_file, tmp_path, suffix, title):
    tagged = encoded(wav_file(2.0), f".tagged{suffix}", "-metadata", f"title={title}", "-metadata", f"comment={title}")
    playable, copy, converted = played(tagged, tmp_path)
    assert converted.duration_s == pytest.approx(2, abs=0.1) and not playable
    assert title.encode()[:40] not in copy.read_bytes()
    steered = "".join(" " if letter in "\u202e\n\t" else letter for letter in title)
    assert converted.tags["title"] == " ".join(steered.split())


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".flac", ".m4a", ".wav", ".opus"])
def test_the_tags_of_every_container_are_read(wav_file, tmp_path, suffix):
    options = ("-c:a", "libvorbis") if suffix == ".ogg" else ()
    told = ("-metadata", "artist=Gesang; a=b\\c # d", "-metadata", "genre=Keroncong")
    source = encoded(wav_file(1.0, name="source.wav"), f".x{suffix}", *options, *told)
    tags = audio.convert(source, tmp_path / "w.wav", max_duration_s=60).tags
    assert (tags["artist"], tags["genre"]) == ("Gesang; a=b\\c # d", "Keroncong")


def test_a_film_without_sound_is_refused(tmp_path):
    film = tmp_path / "film.mp4"
    line = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64:r=5", str(film)]
    subprocess.run(line, check=True)
    with pytest.raises(audio.AudioUnreadable, match="no sound in it"):
        convert(film, tmp_path)


def test_ten_hours_are_refused_after_the_length_that_is_taken(tmp_path):
    """A file with a hole in it: ten hours that take no room."""
    path, target, seconds, rate = tmp_path / "long.wav", tmp_path / "out.wav", 36_000, 8_000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(1), file.setframerate(rate)
        file.writeframes(b"\x80" * rate)
    size = path.stat().st_size - rate + seconds * rate
    with path.open("r+b") as file:
        file.truncate(size)
        for place, value in ((4, size - 8), (40, size - 44)):
            file.seek(place)
            file.write(value.to_bytes(4, "little"))
    with pytest.raises(audio.AudioUnreadable, match="longer than 1 minutes"):
        audio.convert(path, target, max_duration_s=60)
    assert target.stat().st_size < 70 * 22_050 * 2


def test_what_a_hostile_file_makes_ffmpeg_say_is_not_kept(tmp_path):
    said = audio._run(
        [sys.executable, "-c", "import sys\nsys.stderr.write('first ' + 'x' * 50_000_000 + ' last')"],
        most_bytes=1 << 20,
        timeout_s=60,
    )
    assert len(said) <= audio.HEARD + audio.LAST and said.startswith("first") and said.endswith("last")


def test_a_decoder_is_stopped_when_asked_and_leaves_nothing_running(tmp_path):
    class Stop(Exception):
        pass

    def check():
        raise Stop

    began = time.monotonic()
    with pytest.raises(Stop):
        audio._run([sys.executable, "-c", "import time; time.sleep(60)"], most_bytes=1, timeout_s=90, check=check)
    assert time.monotonic() - began < 10


def test_a_file_that_names_other_files_opens_none(wav_file, tmp_path):
    secret = wav_file(2.0)
    path = tmp_path / "list.wav"
    path.write_text(f"ffconcat version 1.0\nfile {secret.name}\n")
    with pytest.raises(audio.AudioUnreadable, match="not a recording"):
        probe(path, secret.parent)


def test_the_loudness_of_many_channels_is_that_of_the_stereo_that_raters_hear(tmp_path):
    path = tmp_path / "surround.flac"
    noise = [
        "-f",
        "lavfi",
        "-i",
        "anoisesrc=d=6:a=0.3:c=pink:seed=3",
        "-filter_complex",
        "[0]pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0",
    ]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *noise, path], check=True)
    converted = audio.convert(path, tmp_path / "out.wav", max_duration_s=60)
    copy = audio.streaming_copy(path, tmp_path, converted, max_duration_s=60)
    heard = audio.convert(copy, tmp_path / "heard.wav", max_duration_s=60)
    assert converted.loudness.integrated_lufs == pytest.approx(heard.loudness.integrated_lufs, abs=0.5)


def test_a_stretch_that_begins_after_the_end_is_told_from_a_broken_file(wav_file, tmp_path):
    source = wav_file(2.0)
    with pytest.raises(audio.AudioUnreadable, match="The recording is 0:02 long; the stretch to be taken begins at 1:40"):
        audio.convert(source, tmp_path / "x.wav", max_duration_s=600, start_s=100.0)
