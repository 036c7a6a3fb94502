"""Steps a second of the paper's networks, against the plain way: float32, Keras' own ConvLSTM, pictures loaded batch by batch from a folder.

`python -m benchmarks.training` prints the ratio for each network, side by side in one run: the ways take turns, each in a process of
its own, and the medians are compared. Ours is deterministic, as the studio trains; the plain way is not, and lets Keras choose XLA, as it does by
itself; "plain without XLA" is the same told not to. Where the processor has no bfloat16 the ratio is that of the fused ConvLSTM alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

BATCH, STEPS, WARM, ROUNDS = 16, 10, 2, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_pictures(folder, BATCH * (options.steps + WARM))
        for network in ("cnn", "crnn"):
            found: dict[str, list[float]] = {"plain": [], "plain-without-xla": [], "ours": []}
            for _ in range(options.rounds):
                for way in found:
                    line = [sys.executable, "-m", "benchmarks.training_way", way, network, name, str(options.steps)]
                    done = subprocess.run(line, capture_output=True, text=True, check=True)
                    found[way].append(json.loads(done.stdout.strip().splitlines()[-1])["steps_per_s"])
            plain, without, ours = (statistics.median(times) for times in found.values())
            print(
                f"{network}: plain {plain:.3f} steps/s, without XLA {without:.3f}, ours {ours:.3f}:"
                f" {ours / plain:.2f} and {ours / without:.2f} times ({options.rounds} rounds each)",
                flush=True,
            )


def _write_pictures(folder: Path, n: int) -> None:
    """As flow_from_directory wants them: a folder a label."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(n):
        label = folder / str(number % 3)
        label.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (128, 256), dtype=np.uint8)).save(label / f"{number:05d}.png")


def run(way: str, network: str, folder: Path, steps: int) -> dict[str, Any]:
    """One training of so many steps in this process."""
    import time

    import keras

    keras.utils.set_random_seed(1)
    if way != "ours":
        model = _plain(keras, network)
        data: Any = keras.utils.image_dataset_from_directory(
            folder, color_mode="grayscale", batch_size=BATCH, image_size=(126, 258), interpolation="nearest", shuffle=True, seed=1,
            verbose=False,
        ).map(lambda x, y: (keras.ops.cast(x, "float32") / 255.0, y))  # fmt: skip
        targets = None
    else:
        import tensorflow as tf
        from PIL import Image

        from mer.methods import networks
        from mer.methods.adam import FusedAdam
        from mer.methods.params import TrainingParams
        from mer.methods.training import precision_of, resize_pictures

        tf.config.experimental.enable_op_determinism()
        params = TrainingParams.of(network)
        if precision_of(params, has_gpu=False) == "bfloat16":
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        model = networks.build(params, 3)
        paths = sorted(folder.rglob("*.png"))
        data = resize_pictures(np.stack([np.asarray(Image.open(path)) for path in paths]))
        targets = np.array([int(path.parent.name) for path in paths])
    optimizer = (FusedAdam if way == "ours" else keras.optimizers.Adam)(1e-4)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", jit_compile="auto" if way == "plain" else False)
    times: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            times.append(time.perf_counter())

    model.fit(data, targets, epochs=1, batch_size=None if targets is None else BATCH, verbose=0, callbacks=[Clock()])
    measured = times[WARM - 1 :][: steps + 1]
    return {"steps_per_s": (len(measured) - 1) / (measured[-1] - measured[0])}


def _plain(keras: Any, network: str) -> Any:
    """What a reader of the paper would write."""
    layers = keras.layers
    if network == "cnn":
        blocks = [layers.Conv2D(n, 3, activation="relu") for n in (16, 32, 64, 112)]
    else:
        blocks = [
            layers.Reshape((126, 6, 43, 1)), layers.Permute((2, 1, 3, 4)),
            *(layers.ConvLSTM2D(n, 3, return_sequences=n != 36) for n in (11, 12, 16, 36)), layers.BatchNormalization(),
        ]  # fmt: skip
    blocks += [layers.MaxPooling2D(2)] if network == "cnn" else []
    units = (128, 128) if network == "cnn" else (184, 172)
    head = [layer for n in units for layer in (layers.Dense(n, activation="relu"), layers.Dropout(0.2))]
    return keras.Sequential([keras.Input((126, 258, 1)), *blocks, layers.Flatten(), *head, layers.Dense(3, activation="softmax")])


if __name__ == "__main__":
    main()
