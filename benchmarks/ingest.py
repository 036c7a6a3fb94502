"""Conversion, analysis and the copy for players, beside one ffmpeg command that makes the same outputs from the same files.

`python -m benchmarks.ingest FOLDER` with a folder of mp3 files; without one, pieces of the demo's generator, coded as mp3.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from datasets.methods import audio

LONGEST_S = 3600
N_PIECES = 8
N_ROUNDS = 5


def ours(source: Path, folder: Path) -> None:
    """What the worker does with a file."""
    wav = folder / "track.wav"
    converted = audio.convert(source, wav, max_duration_s=LONGEST_S)
    audio.measure(wav)
    audio.streaming_copy(source, folder, converted, max_duration_s=LONGEST_S)


def plain(source: Path, folder: Path) -> None:
    """The same outputs from one command: wav, a copy of the stream without tags, EBU R128."""
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-i", source]
    command += ["-filter_complex", "[0:a:0]asplit[w][m];[m]ebur128=framelog=quiet:peak=sample,anullsink"]
    command += ["-map", "[w]", "-ac", "1", "-ar", "22050", "-c:a", "pcm_s16le", folder / "plain.wav"]
    command += ["-map", "0:a:0", "-c:a", "copy", "-map_metadata", "-1", folder / "plain.mp3"]
    subprocess.run(command, check=True)


def cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def pieces(folder: Path) -> list[Path]:
    """Pieces of the demo's generator as mp3."""
    import soundfile

    from datasets.methods import generator

    found = []
    for number in range(N_PIECES):
        wav, mp3 = folder / f"{number}.wav", folder / f"{number}.mp3"
        soundfile.write(wav, generator.compose(number, duration_s=180.0).y, audio.SAMPLE_RATE, subtype="PCM_16")
        subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", "-i", wav, "-b:a", "128k", mp3], check=True)
        found.append(mp3)
    return found


def one(source: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours(Path(source), Path(folder))


def arithmetic(_source: str) -> None:
    """What no disk and no memory holds up: its gain by a second worker is the most that the machine gives at that moment."""
    sum(number * number for number in range(3_000_000))


def gain(work: Callable[[str], None], names: list[str]) -> float:
    """How many times as much two workers do in the same time as one."""
    walls = []
    for workers in (1, 2):
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            pool.map(work, names[:2])
            began = time.perf_counter()
            pool.map(work, names, chunksize=1)
            walls.append(time.perf_counter() - began)
    return walls[0] / walls[1]


def largest_child_mb(source: Path) -> float:
    """Peak memory of the processes that a conversion starts, in MiB, measured in a process of its own."""
    code = "import resource, sys; from benchmarks.ingest import one; one(sys.argv[1]); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    out = subprocess.run([sys.executable, "-c", code, str(source)], capture_output=True, text=True, check=True).stdout
    return max(map(float, out.split()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mer-bench-") as name:
        folder = Path(name)
        sources = sorted(options.folder.rglob("*.mp3"))[:40] if options.folder else pieces(folder)
        ratios, spent = [], [0.0, 0.0]
        for source in sources:
            times = []
            for work in (plain, ours, plain, ours):  # in turn, so that a slow moment of the machine hits both
                began = cpu()
                work(source, folder)
                times.append(cpu() - began)
            theirs, mine = times[0] + times[2], times[1] + times[3]
            spent[0] += theirs
            spent[1] += mine
            ratios.append(mine / theirs)
        ratios.sort()
        print(
            f"{len(sources)} mp3 files: CPU {spent[1] / spent[0]:.2f} times that of one ffmpeg command (median of files {ratios[len(ratios) // 2]:.2f})"
        )
        short, long = folder / "short.mp3", folder / "long.mp3"
        for path, seconds in ((short, 60), (long, 3000)):
            line = [
                get_ffmpeg_exe(),
                "-v",
                "error",
                "-y",
                "-stream_loop",
                "-1",
                "-i",
                sources[0],
                "-t",
                str(seconds),
                "-b:a",
                "128k",
                path,
            ]
            subprocess.run(line, check=True)
        print(f"peak memory: {largest_child_mb(short):.0f} MiB for 1 minute, {largest_child_mb(long):.0f} MiB for 50 minutes")
        names = [str(source) for source in sources] * 3
        found = sorted((gain(one, names), gain(arithmetic, names)) for _ in range(N_ROUNDS))
        twice = found[N_ROUNDS // 2][0]
        most = sorted(most for _gain, most in found)[N_ROUNDS // 2]
        print(f"two workers: {twice:.2f} times one; pure arithmetic in turn with them: {most:.2f} (medians of {N_ROUNDS} rounds)")


if __name__ == "__main__":
    main()
