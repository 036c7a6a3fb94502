"""What bfloat16 costs in accuracy: `python -m benchmarks.precision --network cnn`.

The same training in float32 and in bfloat16, on pieces of the demo's generator that are composed anew, and with another seed, in every repeat:
no two share a piece, so that their differences in accuracy are independent, and Student's t over them gives the 95% interval. Each repeat is
printed when it is done, with the interval over all so far, and kept in `--kept`: broken off and started again, it goes on. Two trainings run
at a time, on half of the cores each. Only where the processor has bfloat16.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.methods import generator
from mer.methods import spectrograms
from mer.methods.params import SpectrogramParams, TrainingParams

PRECISIONS = ("float32", "bfloat16")
LABELS = {
    "positive": ("excited", "happy", "pleased"),
    "neutral": ("relaxed", "calm", "bored"),
    "negative": ("sad", "frustrated", "angry"),
}
PARTS = {"train": 120, "validation": 40, "test": 240}
AT_ONCE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="crnn", choices=["cnn", "crnn"])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--kept", type=Path, default=Path("data/precision.jsonl"), help="Where the repeats are kept.")
    options = parser.parse_args()
    options.kept.parent.mkdir(parents=True, exist_ok=True)
    setting = {"network": options.network, "epochs": options.epochs, "parts": PARTS}
    rows = [json.loads(line) for line in options.kept.read_text().splitlines()] if options.kept.exists() else []
    rows = [row for row in rows if all(row[key] == value for key, value in setting.items())]
    with get_context("spawn").Pool(AT_ONCE) as composers, ThreadPoolExecutor(AT_ONCE) as pool:
        for repeat in range(1, options.repeats + 1):
            found = next((row for row in rows if row["repeat"] == repeat), None)
            if found is None:
                made = composers.starmap(_compose, [(number, repeat) for number in range(sum(PARTS.values()))])
                scores = pool.map(lambda precision: _train(made, repeat, precision, options), PRECISIONS)  # noqa: B023 (it is waited for here)
                found = setting | {"repeat": repeat} | dict(zip(PRECISIONS, scores, strict=True))
                with options.kept.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                rows.append(found)
            done = [row for row in rows if row["repeat"] <= repeat]
            print(
                f"{options.network}, repeat {repeat}: {found['float32']:.1%} in float32, {found['bfloat16']:.1%} in bfloat16. {_words(done)}",
                flush=True,
            )


def _words(rows: Sequence[dict[str, float]]) -> str:
    from scipy.stats import t

    apart = 100 * np.array([row["bfloat16"] - row["float32"] for row in rows])
    mean = {precision: np.mean([row[precision] for row in rows]) for precision in PRECISIONS}
    said = f"Over {len(rows)}: {mean['float32']:.1%} and {mean['bfloat16']:.1%}, difference {apart.mean():+.1f} points"
    if len(rows) < 2:
        return said
    half = t.ppf(0.975, len(rows) - 1) * apart.std(ddof=1) / math.sqrt(len(rows))
    return f"{said}, 95% {apart.mean() - half:+.1f} to {apart.mean() + half:+.1f}"


def _compose(number: int, seed: int) -> tuple[NDArray[np.uint8], int]:
    """A piece's picture and the place of its label."""
    params = SpectrogramParams()
    piece = generator.compose(number, seed=seed, duration_s=params.window_s + 0.1)
    word = generator.word_at(piece.valence, piece.arousal)
    label = next(place for place, words in enumerate(LABELS.values()) if word in words)
    return spectrograms.pictures(piece.y, params)[0], label


def _train(made: Sequence[tuple[NDArray[np.uint8], int]], seed: int, precision: str, options: argparse.Namespace) -> float:
    """The accuracy on the test part after one training, in a process of its own."""
    params = TrainingParams.of(options.network, epochs=options.epochs, seed=seed, precision=precision)
    truth = np.array([label for _picture, label in made])
    part = np.repeat(list(PARTS), list(PARTS.values()))
    with tempfile.TemporaryDirectory(prefix="precision-") as name:
        folder = Path(name)
        (folder / "spec.json").write_text(json.dumps({"params": params.as_dict(), "labels": list(LABELS)}))
        arrays = {"truth": truth, "shares": np.eye(len(LABELS))[truth], "part": part, "owner": np.arange(len(made))}
        np.savez(folder / "data.npz", pictures=np.stack([picture for picture, _label in made]), **arrays)
        threads = str(max(1, (os.cpu_count() or 1) // AT_ONCE))
        # Its input stays open: the training ends when that closes.
        with subprocess.Popen(
            [sys.executable, "-m", "mer.methods.training", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TF_NUM_INTRAOP_THREADS": threads},
        ) as process:
            answers = folder / "probabilities.npy"
            while process.poll() is None and not answers.exists():
                time.sleep(1)
            if process.returncode:
                sys.exit(f"The training ended with code {process.returncode}.")
            time.sleep(1)
            process.kill()  # where the network looks, and its file, are not asked for
        said = np.load(answers).argmax(axis=1)
    return float((said == truth)[part == "test"].mean())


if __name__ == "__main__":
    main()
