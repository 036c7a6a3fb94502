"""Spectrograms of mp3 files beside the paper's own route and beside plain decoding: `python -m benchmarks.spectrograms FOLDER`.

The paper's route is pydub to a wav, `librosa.load`, `melspectrogram`, PNG. Ours is ffmpeg to 22,050 Hz mono through a pipe as a track that is
brought in is decoded, only as much as is needed, and `mer.methods.spectrograms`. Plain decoding is `ffmpeg -ac 1 -ar 22050` as far. Tracks
that are shorter than one picture are named and left out. Without a folder: pieces of the demo's generator as mp3.
"""

import argparse
import io
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from benchmarks.ingest import pieces
from datasets.methods.audio import MONO, convert, read_wav
from mer.errors import SpectrogramImpossible
from mer.methods import spectrograms
from mer.methods.params import SpectrogramParams

INPUTS = ("full", "whole")
REPEATS = 3
SPAWN = multiprocessing.get_context("spawn")
Work = Callable[[Path, SpectrogramParams], object]


def decode(path: Path, params: SpectrogramParams, filters: tuple[str, ...] = ("-af", MONO)) -> NDArray[np.float32]:
    """As many samples as the input needs."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path)]
    if params.input == "full":
        command += ["-t", f"{params.window_s + 0.01:.3f}"]
    command += [*filters, "-f", "s16le", "pipe:1"]
    content = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(content, dtype="<i2").astype(np.float32) / np.float32(32768)


def plainly(path: Path, params: SpectrogramParams) -> NDArray[np.float32]:
    return decode(path, params, ("-ac", "1", "-ar", str(params.sr)))


def ours(path: Path, params: SpectrogramParams) -> list[bytes]:
    found = spectrograms.pictures(decode(path, params), params)
    return [spectrograms.png(picture) for picture in found]


def the_papers(path: Path, params: SpectrogramParams) -> list[bytes]:
    from PIL import Image

    found = []
    for S in by_librosa(path, params):  # noqa: N806  (librosa's name)
        level = np.log(S + params.log_floor)
        grey = 255 - np.clip((level - level.min()) / (level.max() - level.min()) * 255, 0, 255).astype(np.uint8)[::-1]
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, format="PNG")
        found.append(buffer.getvalue())
    return found


def by_librosa(path: Path, params: SpectrogramParams) -> Iterator[NDArray[np.float32]]:
    import librosa
    from pydub import AudioSegment

    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "track.wav")
        AudioSegment.converter = get_ffmpeg_exe()
        AudioSegment.from_mp3(path).export(wav, format="wav")
        y, sr = librosa.load(wav, sr=params.sr)
    for start in range(0, len(y) - params.window_samples + 1, params.window_samples):
        yield librosa.feature.melspectrogram(
            y=y[start : start + params.window_samples],
            sr=sr,
            n_fft=params.n_fft,
            hop_length=params.hop_length,
            n_mels=params.n_mels,
        )[:, : params.time_steps]
        if params.input == "full":
            break


def apart(path: Path, params: SpectrogramParams) -> NDArray[np.int_]:
    """How many grey levels each cell of ours is from librosa's, both by the robust recipe and each from its own samples."""
    mine = spectrograms.pictures(decode(path, params), params)
    theirs = [spectrograms.to_picture(S, params) for S in by_librosa(path, params)]
    return np.asarray(np.abs(np.stack([one.astype(int) - two for one, two in zip(mine, theirs, strict=False)])))


def long_enough(path: Path) -> bool:
    params = SpectrogramParams()
    try:
        spectrograms.pictures(decode(path, params), params)
    except SpectrogramImpossible as reason:
        print(f"{path.name} is left out. {reason}")
        return False
    return True


def side_by_side(works: Sequence[Work], files: list[Path], params: SpectrogramParams) -> list[list[float]]:
    """Seconds that each takes for each file: the median of three times. One after the other for the same file, because the speed of a
    machine that others use changes within a minute."""
    spent: list[list[float]] = [[] for _ in works]
    for path in files:
        times = [[took(work, path, params) for work in works] for _ in range(REPEATS)]
        for mine, among in zip(spent, zip(*times, strict=True), strict=True):
            mine.append(statistics.median(among))
    return spent


def took(work: Callable[..., object], *given: object) -> float:
    began = time.perf_counter()
    work(*given)
    return time.perf_counter() - began


def draw(path: str) -> None:
    """What a worker does with a track that was brought in: from its wav."""
    with Path(path).open("rb") as file:
        found = spectrograms.pictures(read_wav(file), SpectrogramParams(input="whole"))
    for picture in found:
        spectrograms.png(picture)


def count(n: int) -> int:
    """A loop that shares nothing with another process but the machine."""
    return sum(number * number % 7 for number in range(n))


def two_workers(files: list[Path]) -> tuple[float, float]:
    """How many times as fast two workers are as one, and two processes that share nothing: what the machine has to give just then."""
    with tempfile.TemporaryDirectory() as folder, SPAWN.Pool(1) as one, SPAWN.Pool(2) as two:
        wavs = [str(Path(folder, f"{number}.wav")) for number in range(len(files))]
        for path, wav in zip(files, wavs, strict=True):
            convert(path, Path(wav), max_duration_s=3600)
        for pool in (one, two):
            pool.map(draw, wavs[:1] * 8, chunksize=1)  # imports
        ratios = [
            tuple(
                took(one.map, work, given, 1) / took(two.map, work, given, 1)
                for work, given in ((draw, wavs * 4), (count, [1_000_000] * 40))
            )
            for _ in range(REPEATS)
        ]
    ours, bare = zip(*ratios, strict=True)
    return statistics.median(ours), statistics.median(bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(options.folder.glob("*.mp3")) if options.folder else pieces(Path(folder))
        files = [path for path in files if long_enough(path)]
        if not files:
            sys.exit(f"There is no mp3 file in {options.folder} that is long enough.")
        for input in INPUTS:
            params = SpectrogramParams(input=input)
            ours(files[0], params), the_papers(files[0], params)  # imports
            mine, theirs, plain = side_by_side((ours, the_papers, plainly), files, params)
            ratio = statistics.median(a / b for a, b in zip(theirs, mine, strict=True))
            over = statistics.median(a / b for a, b in zip(mine, plain, strict=True))
            cells = np.concatenate([apart(path, params) for path in files])
            print(
                f"{input}: {statistics.mean(mine):.3f} s a track, {ratio:.1f} times as fast as the paper's route"
                f" ({statistics.mean(theirs):.3f} s), {over:.2f} times plain decoding ({statistics.mean(plain):.3f} s);"
                f" at most {cells.max()} grey levels from librosa's pictures, {(cells > 1).sum()} of {cells.size:,} cells more than one",
                flush=True,
            )
        ratio, bare = two_workers(files)
        print(f"two workers: {ratio:.2f} times one; two processes that share nothing but the machine: {bare:.2f} times one")


if __name__ == "__main__":
    main()
