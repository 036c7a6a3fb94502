"""What bfloat16 costs in accuracy: `DATA_DIR=... python -m benchmarks.precision RELEASE --network crnn`, on a release of a studio's data folder.

The same training in float32 and in bfloat16, on folds drawn anew and with another seed in every repeat; the difference in accuracy, with
its 95% interval from draws of whole artists. Three folds: each tests a third of the tracks, so that an hour gives many answers. Each repeat
is printed when it is done, with the interval over all so far. Only where the processor has bfloat16.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mer.models import Run
    from mer.rounds import Inputs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release")
    parser.add_argument("--network", default="crnn", choices=["cnn", "crnn"])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--first", type=int, default=1, help="The first seed.")
    options = parser.parse_args()
    import django

    django.setup()
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
    right: dict[str, list[NDArray[np.bool_]]] = {precision: [] for precision in PRECISIONS}
    for repeat in range(options.first, options.first + options.repeats):
        folds = splits.draw_folds([sample.label for sample in usable], groups, seed=repeat, n_folds=options.folds)
        for precision in PRECISIONS:
            run.params = TrainingParams.of(options.network, epochs=options.epochs, seed=repeat, precision=precision).as_dict()
            answered = np.full(len(usable), -1)
            for parts in selectors.in_turn(folds):
                (inputs,) = rounds.inputs_of(run, usable, [parts], labels)
                said = _train(run, inputs)
                tested = np.array(parts) == "test"
                answered[tested] = said[tested].argmax(axis=1)
            right[precision].append(answered == truth)
        scores = [np.mean(right[precision], axis=0) for precision in PRECISIONS]
        found = metrics.mean_interval(scores[1] - scores[0], groups)
        print(
            f"{options.network}, repeat {repeat}: {np.mean(right['float32'][-1]):.1%} in float32, {np.mean(right['bfloat16'][-1]):.1%} in"
            f" bfloat16. Over {len(right['float32'])} so far ({len(usable)} tracks, {len(set(groups))} artists): {scores[0].mean():.1%} and"
            f" {scores[1].mean():.1%}, difference {100 * found.value:+.1f} points, 95% {100 * found.low:+.1f} to {100 * found.high:+.1f}",
            flush=True,
        )


def _train(run: "Run", inputs: "Inputs") -> NDArray[np.float64]:
    """The probabilities of every track after one training, in a process of its own."""
    from mer import rounds

    with tempfile.TemporaryDirectory(prefix="precision-") as name:
        folder = Path(name, "round")
        rounds.write(folder, run, inputs)
        line = [sys.executable, "-m", "mer.methods.training", str(folder)]
        # Its input stays open: the training ends when that closes.
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            if process.wait():
                sys.exit(f"The training ended with code {process.returncode}.")
        return rounds.pooled(np.load(folder / "probabilities.npy"), inputs.owner)


if __name__ == "__main__":
    main()
