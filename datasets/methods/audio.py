"""Reading recordings: what a file really holds, the paper's mp3 -> wav step, and the waveform that people see.

The container's header is not believed: a file counts as audio when its samples decode. Conversion runs ffmpeg (the static
build of `imageio-ffmpeg`, so that no system package is needed) in a process of its own with limits on time, memory and
output, because decoders meet hostile input; the first look into a file (`probe`) decodes one frame in the caller's process.

Conventions
-----------
y : float samples in [-1, 1], mono. sr : samples per second. Durations in seconds.
"""

import hashlib
import itertools
import math
import re
import resource
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DatasetsError

SAMPLE_RATE = 22_050  # Hz; librosa's default, the rate of the paper's spectrograms
N_PEAKS = 400  # as many as a phone's screen can show
MIN_DURATION_S = 0.5  # less than this holds nothing to rate
PLAYBACK_LUFS = -18.0  # quiet enough that dynamic music can be raised to it, loud enough for a phone
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
    """What the file's first audio stream says of itself (the true duration is known after decoding)."""

    codec: str
    sample_rate: int
    channels: int
    claimed_s: float | None


def probe(path: Path) -> Probe:
    """Open `path`, decode one frame of its first audio stream, and describe it.

    Raises
    ------
    AudioUnreadable
        The file is empty, is not a recording, has no audio stream, or nothing in it decodes.
    """
    import av  # 40 MB; only workers and commands get here

    if path.stat().st_size == 0:
        raise AudioUnreadable("The file is empty (0 bytes).")
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise AudioUnreadable("The file has no sound in it, only pictures or data.")
            stream = container.streams.audio[0]
            frame = next(container.decode(stream), None)
            if frame is None:
                raise AudioUnreadable("The file has no samples: 0 seconds of sound.")
            claimed = float(container.duration / av.time_base) if container.duration else None
            return Probe(stream.codec_context.name, frame.sample_rate, frame.layout.nb_channels, claimed)
    except av.FFmpegError as error:
        raise AudioUnreadable(f"The file is not a recording that can be decoded ({error.strerror}).") from None


def convert(
    source: Path,
    target: Path,
    *,
    max_duration_s: float,
    start_s: float | None = None,
    end_s: float | None = None,
    timeout_s: float = 600,
) -> float:
    """Decode `source`, or the stretch from `start_s` to `end_s`, into a mono 16-bit wav at 22,050 Hz; its true duration in seconds.

    The paper's mp3 -> wav step. pydub would hold the whole track in memory and asks for ffprobe; the same ffmpeg is
    called directly, so that memory stays flat in the length of the track.

    Raises
    ------
    AudioUnreadable
        The file does not decode, is shorter than 0.5 s, longer than `max_duration_s`, or takes too long.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file", "-i", f"file:{source}"]
    command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-ac", "1", "-ar", str(SAMPLE_RATE)]
    longest = min(max_duration_s + 1, (end_s or math.inf) - (start_s or 0))
    command += [
        *(["-ss", str(start_s)] if start_s else []),
        "-t",
        str(longest),
        "-c:a",
        "pcm_s16le",
        "-bitexact",
        "-f",
        "wav",
        f"file:{target}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, preexec_fn=_limit_decoder, check=False)
    except subprocess.TimeoutExpired:
        raise AudioUnreadable(f"Decoding took longer than {timeout_s:.0f} seconds and was stopped.") from None
    message = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if not target.exists() or target.stat().st_size <= 44:
        why = message[-1][:200] if message else "no samples"
        raise AudioUnreadable(f"Nothing in the file could be decoded ({why}).")
    duration_s = wav_duration(target)
    if duration_s < MIN_DURATION_S:
        raise AudioUnreadable(f"The recording is {duration_s:.2f} seconds long; at least {MIN_DURATION_S} are needed.")
    if duration_s > max_duration_s:
        raise AudioUnreadable(f"The recording is longer than {max_duration_s / 60:.0f} minutes, the longest that is taken.")
    return duration_s


@dataclass(frozen=True)
class Loudness:
    """integrated_lufs : integrated loudness in LUFS by EBU R128, None for silence. peak_db : loudest sample in dBFS, None likewise."""

    integrated_lufs: float | None
    peak_db: float | None


def loudness(path: Path) -> Loudness:
    """Integrated loudness and sample peak of a wav, measured by ffmpeg's ebur128 filter (EBU R128, ITU-R BS.1770).

    Silence, and what is too short or too quiet for the gates of the standard (-70 LUFS), has no loudness.

    Raises
    ------
    AudioUnreadable
        ffmpeg cannot read the file.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-nostats", "-protocol_whitelist", "file", "-i", f"file:{path}"]
    command += ["-af", "ebur128=framelog=quiet:peak=sample", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, timeout=600, preexec_fn=_limit_decoder, check=False)
    found = dict(LOUDNESS.findall(done.stderr.decode("utf-8", "replace")))
    if "I" not in found:
        raise AudioUnreadable("The loudness of the recording could not be measured.")
    integrated, peak = float(found["I"]), float(found["Peak"])
    return Loudness(integrated if integrated > -70 else None, peak if math.isfinite(peak) else None)


def playback_gain(loudness_lufs: float | None, peak_db: float | None) -> float:
    """dB by which a player changes a track so that all sound equally loud (-18 LUFS) and none clips (1 dB of room)."""
    if loudness_lufs is None or peak_db is None:
        return 0.0
    return round(min(PLAYBACK_LUFS - loudness_lufs, -1.0 - peak_db), 2)


def _limit_decoder() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (DECODER_MEMORY, DECODER_MEMORY))


def wav_duration(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())


def read_wav(path: Path | IO[bytes]) -> NDArray[np.float32]:
    """Samples of a 16-bit mono wav as float32 in [-1, 1), shape=(n,)."""
    with wave.open(path if not isinstance(path, Path) else str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.astype(np.float32) / np.float32(32768)


def peaks(path: Path, n: int = N_PEAKS) -> list[int]:
    """The loudest absolute sample of each of `n` equal stretches of a wav, int in 0-100 [shape=(n,)], read in one pass."""
    with wave.open(str(path)) as file:
        total = file.getnframes()
        edges = np.linspace(0, total, n + 1).astype(int)
        loudest = []
        for start, stop in itertools.pairwise(edges):
            samples = np.frombuffer(file.readframes(int(stop - start)), dtype="<i2").astype(np.int32)
            loudest.append(int(np.abs(samples).max()) if samples.size else 0)
    return [round(100 * value / 32768) for value in loudest]


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
