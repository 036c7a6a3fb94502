"""Reading recordings: what a file really holds, the paper's mp3 -> wav step, and the waveform that people see.

The container's header is not believed: a file counts as audio when its samples decode. ffmpeg (the static build of
`imageio-ffmpeg`, so that no system package is needed) runs in a process of its own with limits on time, memory and output,
because decoders meet hostile input.

Conventions
-----------
y : float samples in [-1, 1], mono. sr : samples per second. Durations in seconds.
"""

import ctypes
import fcntl
import filecmp
import hashlib
import itertools
import math
import os
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetsError
from datasets.methods import fingerprints, mp3
from datasets.methods.lists import as_clock

SAMPLE_RATE = 22_050  # Hz; librosa's default, the rate of the paper's spectrograms
N_PEAKS = 400  # as many as a phone's screen can show
MIN_DURATION_S = 0.5  # less than this holds nothing to rate
PLAYBACK_LUFS = -18.0  # quiet enough that dynamic music can be raised to it, loud enough for a phone
COUNTED = re.compile(r"^\[Parsed_volumedetect_\d+ @ \w+\] (n_samples|histogram_0db): (\d{1,18})$", re.MULTILINE)
LOUDNESS = re.compile(r"^\s+(I|Peak):\s+(-?(?:\d+\.\d+|inf))", re.MULTILINE)
DECODER_MEMORY = 2 * 1024**3  # bytes
SUFFIX = re.compile(r"\.([a-z0-9]{1,5})\Z")


class AudioUnreadable(DatasetsError):
    """The file cannot be used; the message says why in words that a person understands."""


class Readable(Protocol):
    """A binary file, Django's or Python's."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> Any: ...


@dataclass(frozen=True)
class Probe:
    """What the file says of its first audio stream; `channels` is None for a layout without a number."""

    codec: str
    sample_rate: int
    channels: int | None
    claimed_s: float | None
    container: str = ""


@dataclass(frozen=True)
class Loudness:
    """integrated_lufs : integrated loudness in LUFS by EBU R128, None for silence. peak_db : loudest sample in dBFS, None likewise."""

    integrated_lufs: float | None
    peak_db: float | None


@dataclass(frozen=True)
class Converted:
    """What came out of a conversion: the true duration in seconds, the source as it was, its loudness as raters hear it, the raw
    fingerprint (see `fingerprints.read_items`), and the source's tags, one line each, under lower-case keys such as `artist`.

    clipped_share : share of the samples at full scale, of all channels, at the source's own rate."""

    duration_s: float
    probe: Probe
    loudness: Loudness
    fingerprint: bytes = b""
    clipped_share: float = 0.0
    tags: Mapping[str, str] = field(default_factory=dict)


CONTAINER = re.compile(r"^Input #0, ([\w,]+), from", re.MULTILINE)
# At the places where ffmpeg itself writes them: tags stand further to the right, and may say the same.
STREAM = re.compile(r"^  Stream #0:\d+[^\n]*?: Audio: (\w{1,40})[^\n]*?, (\d{1,7}) Hz, ([^,\n]{1,40})", re.MULTILINE)
CLAIMED = re.compile(r"^  Duration: (\d{1,5}):(\d\d):(\d\d(?:\.\d+)?)", re.MULTILINE)
LAYOUTS = {"mono": 1, "stereo": 2, "downmix": 2, "2.1": 3, "3.0": 3, "quad": 4, "4.0": 4, "5.0": 5, "5.1": 6, "6.1": 7, "7.1": 8}


# No address is opened from inside a file, and no file that is a list of other files.
DEMUXERS = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,gif,jpeg_pipe,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts,ogg,oma,png_pipe,rm,tak,tta,voc,w64,wav,wv"
# The paper's mp3 -> wav and librosa.load in one: 16 bits first, as in pydub's wav (what is louder than full scale is cut there, and only
# there), then librosa's resampler at its quality. By ffmpeg's own resampler the highest bands of a spectrogram of real music are up to 43 grey
# levels from librosa's, and where more channels than one are mixed before they are cut up to 44. More than two channels are mixed as `-ac 1` does.
# Handed on in large pieces: in those of the decoder an eighth of the time goes into handing on.
MONO = f"aformat=sample_fmts=s16,aresample={SAMPLE_RATE}:resampler=soxr:out_chlayout=mono,asetnsamples=n=65536:p=0"
# Of more channels than two, the stereo that raters hear is measured, and made by the same filter.
AS_HEARD = "aformat=sample_fmts=s16:channel_layouts=mono|stereo"
# What is within the loudest decibel after this, in 256ths as the filter reckons, was within 0.03 dB of full scale. (astats, which says it
# itself, takes as long as the decoding.)
CLIPPING = f"volume={229 / 256}:precision=fixed,volumedetect"
CLOSED = ("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS)


def convert(
    source: Path,
    target: Path,
    *,
    max_duration_s: float,
    start_s: float | None = None,
    end_s: float | None = None,
    timeout_s: float = 600,
    check: Callable[[], None] | None = None,
) -> Converted:
    """Decode `source`, or the stretch from `start_s` to `end_s`, into a mono 16-bit wav at 22,050 Hz, and measure its loudness.

    The paper's mp3 -> wav step, EBU R128 (ITU-R BS.1770) by ffmpeg's ebur128 filter, and a fingerprint, from one decoding. Silence, and what is too
    short or too quiet for the gates of the standard (-70 LUFS), has no loudness. pydub would hold the whole track in memory and asks
    for ffprobe; the same ffmpeg is called directly, in a process with limits, so that memory stays flat in the length of the track
    and nothing of a hostile file is looked at in the caller's process. What `check` raises, called now and then, stops it.

    Raises
    ------
    AudioUnreadable
        The file is empty or no recording, has no sound, does not decode, is shorter than 0.5 s, longer than `max_duration_s`, or
        takes too long.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    if source.stat().st_size == 0:
        raise AudioUnreadable("The file is empty (0 bytes).")
    longest = min(max_duration_s + 1, (math.inf if end_s is None else end_s) - (start_s or 0))
    # One copy is written, the other only measured.
    mono = f"{MONO},aformat=sample_fmts=s16"
    chain = f"[0:a:0]{_stretch(start_s, longest)},asplit[written][measured];[written]{mono},asplit[wav][heard];"
    chain += f"[heard]atrim=duration={fingerprints.LONGEST_S}[print];"
    # One channel is heard from two loudspeakers: `dualmono` measures it so, or a mono track would be played twice as loud.
    chain += f"[measured]{AS_HEARD},asplit[loud][counted];[loud]ebur128=framelog=quiet:peak=sample:dualmono=true,anullsink;"
    chain += f"[counted]{CLIPPING},anullsink"
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats", "-y", *CLOSED, "-vn", "-sn", "-dn"]
    command += ["-i", f"file:{source}", "-filter_complex", chain, "-map", "[wav]", "-map_metadata", "-1"]
    command += ["-c:a", "pcm_s16le", "-bitexact", "-f", "wav", f"file:{target}"]
    printed = target.with_suffix(".print")
    command += ["-map", "[print]", "-f", "chromaprint", "-fp_format", "raw", f"file:{printed}"]
    tags = target.with_suffix(".tags")  # Ogg keeps them with its stream, the others with the file
    command += ["-map_metadata", "0:s:a:0", "-map_metadata", "0:g", "-f", "ffmetadata", f"file:{tags}"]
    most_bytes = int((max_duration_s + 10) * SAMPLE_RATE * 2)
    try:
        said = _run(command, most_bytes=most_bytes, timeout_s=timeout_s, check=check)
    except subprocess.TimeoutExpired:
        raise AudioUnreadable(f"Decoding took longer than {timeout_s:.0f} seconds and was stopped.") from None
    if not target.exists() or target.stat().st_size <= 44:
        raise AudioUnreadable(_too_short_for(start_s, said) or _why_nothing(said))
    duration_s = wav_duration(target)
    if duration_s < MIN_DURATION_S:
        raise AudioUnreadable(f"The recording is {duration_s:.2f} seconds long; at least {MIN_DURATION_S} are needed.")
    if duration_s > max_duration_s:
        raise AudioUnreadable(f"The recording is longer than {max_duration_s / 60:.0f} minutes, the longest that is taken.")
    fingerprint = printed.read_bytes() if printed.exists() else b""
    return Converted(duration_s, _probe(said), _loudness(said), fingerprint, _clipped(said), _tags(tags))


MOST_TAGS = 1_000_000  # bytes that are read of them


def _tags(path: Path) -> dict[str, str]:
    """What ffmpeg wrote of the tags (`key=value` lines, a backslash before what would end one), without characters that steer."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        text = file.read(MOST_TAGS).decode("utf-8", "replace")
    found = {}
    for key, value in re.findall(r"^((?:[^=\\\n]|\\.)+)=((?:[^\\\n]|\\.|\\\n)*)$", text, re.MULTILINE):
        plain = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        found[key.lower()] = " ".join("".join(" " if category(letter)[0] == "C" else letter for letter in plain).split())
    return found


def fingerprint(wav: Path, *, timeout_s: float = 120) -> bytes:
    """The raw fingerprint of a wav that `convert` made before it made fingerprints. AudioUnreadable when ffmpeg makes none."""
    from imageio_ffmpeg import get_ffmpeg_exe

    printed = wav.with_suffix(".print")
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *CLOSED, "-i", f"file:{wav}"]
    command += ["-t", str(fingerprints.LONGEST_S), "-f", "chromaprint", "-fp_format", "raw", f"file:{printed}"]
    try:
        said = _run(command, most_bytes=2**20, timeout_s=timeout_s)
    except subprocess.TimeoutExpired:
        raise AudioUnreadable(f"The fingerprint took longer than {timeout_s:.0f} seconds.") from None
    if not printed.exists():
        raise AudioUnreadable(f"No fingerprint could be made ({said.strip()[-200:]}).")
    return printed.read_bytes()


def _stretch(start_s: float | None, longest: float) -> str:
    return f"atrim=start={start_s or 0}:duration={longest},asetpts=PTS-STARTPTS"


# What every browser plays, by codec and a word of the container: the suffix of its copy, and how ffmpeg makes that without what may lie
# beside the samples. mp3 is copied frame by frame instead.
COPIED = {
    ("mp3", "mp3"): ("mp3", ()),
    ("aac", "m4a"): ("m4a", ("-c:a", "copy", "-f", "mp4", "-movflags", "+faststart")),
    ("flac", "flac"): ("flac", ("-c:a", "flac", "-f", "flac")),
    ("pcm_s16le", "wav"): ("wav", ("-c:a", "pcm_s16le", "-f", "wav")),
}
CODECS = {suffix: codec for (codec, _container), (suffix, _how) in COPIED.items()}
MOST_STREAMED = 24_000  # bytes a second: 192 kbit/s


def streaming_copy(
    source: Path,
    folder: Path,
    converted: Converted,
    *,
    max_duration_s: float,
    start_s: float | None = None,
    end_s: float | None = None,
    timeout_s: float = 600,
    check: Callable[[], None] | None = None,
) -> Path | None:
    """A copy for raters' players, without tags: the same sound in the same codec where it is small and plays everywhere, else mp3 of
    good quality (LAME -V4, at most two channels, 48 kHz).

    None when the copy is the original byte for byte, which is then played itself. Nothing less shows that a file tells nothing of the
    piece: titles hide in chunks, boxes and trailers that no decoder speaks of. Raises AudioUnreadable when no copy can be made.
    """
    probe = converted.probe
    suits = next((copied for (codec, word), copied in COPIED.items() if codec == probe.codec and word in probe.container), None)
    is_small = source.stat().st_size <= MOST_STREAMED * converted.duration_s + 64_000
    if suits and is_small and probe.channels in (1, 2) and start_s is None and end_s is None:
        suffix, how = suits
        target = folder / f"stream.{suffix}"
        if suffix != "mp3":
            _encode(source, target, how, max_duration_s=max_duration_s, timeout_s=timeout_s, check=check)
            return None if filecmp.cmp(source, target, shallow=False) else target
        if abs(mp3.copy_frames(source, target) - converted.duration_s) < 0.25:
            return None if filecmp.cmp(source, target, shallow=False) else target
    target = folder / "stream.mp3"
    longest = min(max_duration_s + 1, (math.inf if end_s is None else end_s) - (start_s or 0))
    layout = "mono" if probe.channels == 1 else "stereo"
    rate = probe.sample_rate if probe.sample_rate in (22_050, 32_000, 44_100, 48_000) else 44_100
    lame = (
        "-af",
        f"{_stretch(start_s, longest)},aformat=sample_fmts=s16:channel_layouts={layout}",
        "-c:a",
        "libmp3lame",
        "-q:a",
        "4",
    )
    muxer = ("-ar", str(rate), "-f", "mp3", "-id3v2_version", "0")
    _encode(source, target, (*lame, *muxer), max_duration_s=max_duration_s, timeout_s=timeout_s, check=check)
    return target


def _encode(
    source: Path, target: Path, how: tuple[str, ...], *, max_duration_s: float, timeout_s: float, check: Callable[[], None] | None
) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *CLOSED, "-vn", "-sn", "-dn"]
    command += ["-i", f"file:{source}", "-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-bitexact", *how]
    try:
        said = _run([*command, f"file:{target}"], most_bytes=int((max_duration_s + 10) * 48_000), timeout_s=timeout_s, check=check)
    except subprocess.TimeoutExpired:
        raise AudioUnreadable(f"The copy for players took longer than {timeout_s:.0f} seconds and was stopped.") from None
    if not target.exists() or not target.stat().st_size:
        lines = said.strip().splitlines()
        raise AudioUnreadable(f"No copy for players could be made ({lines[-1][:200] if lines else 'no reason given'}).")


def _too_short_for(start_s: float | None, said: str) -> str:
    """Why a stretch is empty that begins after the end of what is else a recording; else nothing."""
    claimed_s = _probe(said).claimed_s if STREAM.search(said) else None
    if not start_s or claimed_s is None or claimed_s > start_s:
        return ""
    return f"The recording is {as_clock(claimed_s)} long; the stretch to be taken begins at {as_clock(start_s)}."


def _why_nothing(said: str) -> str:
    """In words that a person understands, why ffmpeg wrote no samples."""
    if "matches no streams" in said or ("Input #0" in said and not STREAM.search(said) and "Audio:" not in said):
        return "The file has no sound in it, only pictures or data."
    if many := re.search(r"Audio: .*?(\d+) channels", said):
        return f"The file has {many[1]} channels, which cannot be mixed down to one: export it in stereo or mono."
    if "Input #0" in said:
        return "The file has no samples that can be decoded: 0 seconds of sound."
    lines = [line for line in said.strip().splitlines() if line.strip()]
    why = re.sub(r"^.*?file:\S+?: |^\[[^\]]*\] ", "", lines[-1])[:200] if lines else "no samples"
    why = "" if "Invalid data" in why or "Error opening" in why else f" ({why})"
    return f"The file is not a recording that can be decoded{why}."


def _probe(said: str) -> Probe:
    stream, claimed = STREAM.search(said), CLAIMED.search(said)
    if stream is None:
        raise AudioUnreadable("The file says nothing of its sound, though something in it decodes.")
    codec, sample_rate, layout = stream.groups()
    number = re.match(r"(\d+) channels", layout)
    channels = int(number.group(1)) if number else LAYOUTS.get(layout.split("(")[0].strip())
    seconds = sum(60**place * float(part) for place, part in enumerate(reversed(claimed.groups()))) if claimed else None
    container = CONTAINER.search(said)
    return Probe(codec, int(sample_rate), channels, seconds, container.group(1) if container else "")


def _loudness(said: str) -> Loudness:
    found = dict(LOUDNESS.findall(said))
    integrated, peak = float(found.get("I", "-inf")), float(found.get("Peak", "-inf"))
    return Loudness(integrated if integrated > -70 else None, peak if math.isfinite(peak) else None)


def _clipped(said: str) -> float:
    """The share of the samples at full scale, of all channels."""
    found = {what: int(n) for what, n in COUNTED.findall(said)}
    return found.get("histogram_0db", 0) / found["n_samples"] if found.get("n_samples") else 0.0


def playback_gain(loudness_lufs: float | None, peak_db: float | None) -> float:
    """dB by which a player changes a track so that all sound equally loud (-18 LUFS) and none clips (1 dB of room)."""
    if loudness_lufs is None or peak_db is None:
        return 0.0
    return round(min(PLAYBACK_LUFS - loudness_lufs, -1.0 - peak_db), 2)


HEARD, LAST = 256 * 1024, 64 * 1024  # bytes kept of what ffmpeg says: a hostile file makes it say gigabytes
PDEATHSIG = 1  # prctl(2): what the kernel sends a process whose parent died


def _run(command: list[str], *, most_bytes: int, timeout_s: float, check: Callable[[], None] | None = None) -> str:
    """What ffmpeg said, from a process with limits on time, memory, the size of what it writes, and on one processor core.

    ffmpeg would spread over all cores, so that a second worker gained nothing and people who rate meanwhile waited. It ends with the
    worker that started it. `check` is called about once a second; what it raises stops the decoder.
    Raises subprocess.TimeoutExpired.
    """
    with _free_core() as core:

        def set_limits() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (DECODER_MEMORY, DECODER_MEMORY))
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
            if _libc is not None:
                _libc.prctl(PDEATHSIG, signal.SIGKILL)
            if core is not None:
                os.sched_setaffinity(0, {core})

        began, checked = time.monotonic(), time.monotonic()
        head, tail = bytearray(), bytearray()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=set_limits
        ) as decoder:
            assert decoder.stderr is not None
            try:
                while True:
                    ready, _, _ = select.select([decoder.stderr], [], [], 0.5)
                    if ready and not (said := os.read(decoder.stderr.fileno(), 1 << 16)):
                        break
                    if ready:
                        room = HEARD - len(head)
                        head += said[:room]
                        tail = (tail + said[room:])[-LAST:] if len(said) > room else tail
                    now = time.monotonic()
                    if now - began > timeout_s:
                        raise subprocess.TimeoutExpired(command, timeout_s)
                    if check and now - checked > 1:
                        checked = now
                        check()
            except BaseException:
                decoder.kill()
                raise
    return (head + tail).decode("utf-8", "replace")


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@contextmanager
def _free_core() -> Iterator[int | None]:
    """The first core that no other decoder of this user holds; None where all are taken or the system knows no affinity."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with ExitStack() as held:
        for core in cores:
            try:
                lock = held.enter_context(Path(tempfile.gettempdir(), f"mer-decoder-{os.getuid()}-{core}").open("ab"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            yield core
            return
        yield None


def wav_duration(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


def read_wav(path: Path | IO[bytes]) -> NDArray[np.float32]:
    """Samples of a 16-bit mono wav as float32 in [-1, 1), shape=(n,)."""
    with wave.open(path if not isinstance(path, Path) else str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.astype(np.float32) / np.float32(32768)


SILENT = 33  # of 32768: about -60 dBFS
BLOCK = SAMPLE_RATE // 20  # 50 ms


@dataclass(frozen=True)
class Measured:
    """peaks : loudest absolute sample of each of 400 equal stretches, int in 0-100. silence_share : share of 50 ms blocks whose RMS
    is below -60 dBFS."""

    peaks: list[int]
    silence_share: float


def measure(path: Path, n: int = N_PEAKS) -> Measured:
    """The waveform and the silence of a 16-bit mono wav, read in one pass and in blocks."""
    with wave.open(str(path)) as file:
        total = file.getnframes()
        edges = np.linspace(0, total, n + 1).astype(int)
        loudest, silent, blocks, rest = [], 0, 0, np.empty(0, np.float32)
        for start, stop in itertools.pairwise(edges):
            samples = np.frombuffer(file.readframes(int(stop - start)), dtype="<i2").astype(np.float32)
            level = np.abs(samples)
            loudest.append(float(level.max()) if level.size else 0.0)
            rest = np.concatenate([rest, samples])
            whole = rest[: rest.size // BLOCK * BLOCK].reshape(-1, BLOCK)
            silent += int((np.square(whole).mean(axis=1) < SILENT**2).sum())
            blocks += len(whole)
            rest = rest[whole.size :]
    peaks = [round(100 * value / 32768) for value in loudest]
    return Measured(peaks, silent / blocks if blocks else 1.0)


def sha256_of(file: Readable) -> str:
    """SHA-256 of a file from its beginning, in constant memory."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(1 << 20):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def safe_suffix(filename: str) -> str:
    """The extension of a user's file name, or `bin`: never anything that could lead elsewhere."""
    match = SUFFIX.search(filename.lower())
    return match.group(1) if match else "bin"
