"""What bfloat16 costs in accuracy: `DATA_DIR=... python -m benchmarks.precision RELEASE --network crnn`, on a release of a studio's data folder.

The same training in float32 and in bfloat16, on folds drawn anew and with another seed in every repeat; the difference in accuracy, with
its 95% interval from draws of whole artists. Three folds: each tests a third of the tracks, so that an hour gives many answers. Each repeat
is printed when it is done, with the interval over all so far. Only where the processor has bfloat16.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mer.models import Run
    from mer.rounds import Inputs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
PRECISIONS = ("float32", "bfloat16")
AT_ONCE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release")
    parser.add_argument("--network", default="crnn", choices=["cnn", "crnn"])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    import django

    django.setup()
    from django.conf import settings

    from datasets.methods import splits
    from datasets.models import Release
    from mer import rounds, selectors
    from mer.methods import metrics
    from mer.methods.params import SpectrogramParams, TrainingParams
    from mer.models import Run, SpectrogramSet

    release = Release.objects.get(name=options.release)
    drawn = SpectrogramParams()
    owner = SpectrogramSet.objects.get(input=drawn.input, recipe=drawn.recipe)
    run = Run(release=release, split=release.splits.order_by("id").first(), spectrogram_set=owner, network=options.network)
    run.params = TrainingParams.of(options.network, epochs=options.epochs).as_dict()
    usable = [sample for sample in selectors.samples_of(run) if sample.spectrogram]
    labels = list(release.labels)
    truth = np.array([labels.index(sample.label) for sample in usable])
    groups = [sample.group for sample in usable]
    setting = {"release": release.content_hash, "epochs": options.epochs, "folds": options.folds}
    kept = Path(settings.DATA_DIR, f"precision-{options.network}.jsonl")
    right: dict[str, list[NDArray[np.bool_]]] = {precision: [] for precision in PRECISIONS}
    for repeat in range(1, options.repeats + 1):
        found = _read(kept, setting | {"repeat": repeat})
        if found is None:
            folds = splits.draw_folds([sample.label for sample in usable], groups, seed=repeat, n_folds=options.folds)
            found = {precision: np.zeros(len(usable), bool) for precision in PRECISIONS}
            plans = list(selectors.in_turn(folds))
            trainings = []
            for precision in PRECISIONS:
                one = copy.copy(run)
                one.params = TrainingParams.of(options.network, epochs=options.epochs, seed=repeat, precision=precision).as_dict()
                drawn_up = rounds.inputs_of(one, usable, plans, labels)
                trainings += [(precision, parts, one, inputs) for parts, inputs in zip(plans, drawn_up, strict=True)]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                answers = list(pool.map(lambda training: _train(*training[2:]), trainings))
            for (precision, parts, *_), said in zip(trainings, answers, strict=True):
                tested = np.array(parts) == "test"
                found[precision][tested] = (said.argmax(axis=1) == truth)[tested]
            with kept.open("a") as file:
                row = {precision: found[precision].astype(int).tolist() for precision in PRECISIONS}
                file.write(json.dumps(setting | {"repeat": repeat} | row) + "\n")
        for precision in PRECISIONS:
            right[precision].append(found[precision])
        scores = [np.mean(right[precision], axis=0) for precision in PRECISIONS]
        apart = metrics.mean_interval(scores[1] - scores[0], groups)
        print(
            f"{options.network}, repeat {repeat}: {found['float32'].mean():.1%} in float32, {found['bfloat16'].mean():.1%} in"
            f" bfloat16. Over {repeat} so far ({len(usable)} tracks, {len(set(groups))} artists): {scores[0].mean():.1%} and"
            f" {scores[1].mean():.1%}, difference {100 * apart.value:+.1f} points, 95% {100 * apart.low:+.1f} to {100 * apart.high:+.1f}",
            flush=True,
        )


def _read(kept: Path, setting: dict[str, Any]) -> dict[str, NDArray[np.bool_]] | None:
    """Which tracks a repeat answered rightly, by precision, if it was done before."""
    for line in kept.read_text().splitlines() if kept.exists() else []:
        row = json.loads(line)
        if all(row[key] == value for key, value in setting.items()):
            return {precision: np.array(row[precision], bool) for precision in PRECISIONS}
    return None


def _train(run: "Run", inputs: "Inputs") -> NDArray[np.float64]:
    """The probabilities of every track after one training, in a process of its own."""
    from mer import rounds

    with tempfile.TemporaryDirectory(prefix="precision-") as name:
        folder = Path(name, "round")
        rounds.write(folder, run, inputs)
        line = [sys.executable, "-m", "mer.methods.training", str(folder)]
        threads = str(max(1, (os.cpu_count() or 1) // AT_ONCE))
        # Its input stays open: the training ends when that closes.
        with subprocess.Popen(
            line,
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
        return rounds.pooled(np.load(answers), inputs.owner)


if __name__ == "__main__":
    main()
