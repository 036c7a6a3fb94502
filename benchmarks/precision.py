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
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from datasets.methods import generator
from datasets.methods.schemes import PAPER, key_of
from mer.methods import spectrograms
from mer.methods.params import SpectrogramParams, TrainingParams

PRECISIONS = ("float32", "bfloat16")
LABELS = [key_of(label.name) for label in PAPER]
LABEL_OF = {key_of(word.name): place for place, label in enumerate(PAPER) for word in label.words}
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
    scores: dict[tuple[int, str], float] = {
        (row["repeat"], row["precision"]): row["accuracy"] for row in rows if all(row[key] == setting[key] for key in setting)
    }

    def score(repeat: int, precision: str) -> float:
        if (repeat, precision) not in scores:
            scores[repeat, precision] = _train(pieces(repeat), repeat, precision, options)
            row = setting | {"repeat": repeat, "precision": precision, "accuracy": scores[repeat, precision]}
            with options.kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return scores[repeat, precision]

    with get_context("spawn").Pool(AT_ONCE) as composers, ThreadPoolExecutor(AT_ONCE) as pool:
        turn = Lock()

        @lru_cache(maxsize=AT_ONCE)
        def composed(repeat: int) -> list[tuple[NDArray[np.uint8], int]]:
            return composers.starmap(_compose, [(number, repeat) for number in range(sum(PARTS.values()))])

        def pieces(repeat: int) -> list[tuple[NDArray[np.uint8], int]]:
            with turn:  # the second training of a repeat waits for what the first has composed
                return composed(repeat)

        repeats = range(1, options.repeats + 1)
        found = pool.map(score, *zip(*((repeat, precision) for repeat in repeats for precision in PRECISIONS), strict=True))
        apart: list[tuple[float, float]] = []
        for repeat in repeats:
            apart.append((next(found), next(found)))
            print(f"{options.network}, repeat {repeat}: {_words(apart)}", flush=True)


def _words(scores: Sequence[tuple[float, float]]) -> str:
    """scores : accuracy in float32 and in bfloat16 of each repeat, the latest last."""
    from scipy.stats import t

    first, second = 100 * np.array(scores).T
    apart = second - first
    said = f"{first[-1]:.1f}% in float32, {second[-1]:.1f}% in bfloat16. Over {len(scores)}: {first.mean():.1f}% and {second.mean():.1f}%"
    said += f", difference {apart.mean():+.1f} points"
    if len(scores) < 2:
        return said
    half = t.ppf(0.975, len(scores) - 1) * apart.std(ddof=1) / math.sqrt(len(scores))
    return f"{said}, 95% {apart.mean() - half:+.1f} to {apart.mean() + half:+.1f}"


def _compose(number: int, seed: int) -> tuple[NDArray[np.uint8], int]:
    """A piece's picture and the place of its label."""
    params = SpectrogramParams()
    piece = generator.compose(number, seed=seed, duration_s=params.window_s + 0.1)
    return spectrograms.pictures(piece.y, params)[0], LABEL_OF[generator.word_at(piece.valence, piece.arousal)]


def _train(made: Sequence[tuple[NDArray[np.uint8], int]], seed: int, precision: str, options: argparse.Namespace) -> float:
    """The accuracy on the test part after one training, in a process of its own."""
    params = TrainingParams.of(options.network, epochs=options.epochs, seed=seed, precision=precision)
    truth = np.array([label for _picture, label in made])
    part = np.repeat(list(PARTS), list(PARTS.values()))
    with tempfile.TemporaryDirectory(prefix="precision-") as name:
        folder = Path(name)
        (folder / "spec.json").write_text(json.dumps({"params": params.as_dict(), "labels": LABELS}))
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
