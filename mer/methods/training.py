"""Training one network: a program of its own, because TensorFlow hangs in a forked process and must not outlive its task.

    python -m mer.methods.training FOLDER

FOLDER holds `spec.json` (TrainingParams, labels) and `data.npz` (pictures uint8 [shape=(n, 128, 256)], truth int [shape=(n,)], part str
[shape=(n,)]). Progress goes to standard output as one JSON object a line; `probabilities.npy` and `network.keras` are left
in the folder. The program ends when its standard input closes, so that it dies with whoever started it.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.methods.params import INPUT_SHAPE, TrainingParams


def resize_pictures(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures at the networks' input size, float32 in [0, 1] [shape=(n, 126, 258, 1)].

    Nearest neighbour: what Keras' image loader does by default when its target_size differs from the file's.
    """
    from PIL import Image

    size = (INPUT_SHAPE[1], INPUT_SHAPE[0])
    resized = [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)) for picture in pictures]
    return np.asarray(np.stack(resized)[..., None] / 255, dtype=np.float32)


def class_weights(truth: NDArray[np.int64], n_labels: int) -> dict[int, float]:
    """Weights that make every label count the same in the loss; labels that do not occur weigh nothing."""
    counts = np.bincount(truth, minlength=n_labels)
    present = int((counts > 0).sum())
    return {index: float(len(truth) / (present * count)) if count else 0.0 for index, count in enumerate(counts)}


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def main(folder: Path) -> int:
    spec = json.loads((folder / "spec.json").read_text())
    params = TrainingParams(**spec["params"])
    data = np.load(folder / "data.npz")
    pictures, truth, part = resize_pictures(data["pictures"]), data["truth"], data["part"]

    import keras
    import tensorflow as tf

    from mer.methods import networks

    keras.utils.set_random_seed(params.seed)
    tf.config.experimental.enable_op_determinism()
    network = networks.BUILDERS[params.network](len(spec["labels"]), dropout=params.dropout)
    network.compile(keras.optimizers.Adam(params.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    say(event="built", weights=network.count_params())

    train, validation = part == "train", part == "validation"
    report = _reporter(keras, params.epochs)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=params.patience, restore_best_weights=True)
    try:
        network.fit(
            pictures[train],
            truth[train],
            validation_data=(pictures[validation], truth[validation]),
            epochs=params.epochs,
            batch_size=params.batch_size,
            class_weight=class_weights(truth[train], len(spec["labels"])) if params.class_weights else None,
            callbacks=[report, stop, keras.callbacks.TerminateOnNaN()],
            verbose=0,
        )
    except tf.errors.ResourceExhaustedError:
        say(event="failed", reason=f"Out of memory with {params.batch_size} pictures at a time. Train with a smaller batch.")
        return 1
    if report.last_loss is None or not np.isfinite(report.last_loss):
        say(
            event="failed",
            reason=f"The loss became {report.last_loss}: the learning rate {params.learning_rate} is too high for this network.",
        )
        return 1
    say(event="predicting")
    np.save(folder / "probabilities.npy", network.predict(pictures, batch_size=params.batch_size, verbose=0))
    # A fresh network has no optimizer: the file holds the weights once, not three times.
    bare = networks.BUILDERS[params.network](len(spec["labels"]), dropout=params.dropout)
    bare.set_weights(network.get_weights())
    bare.save(folder / "network.keras")
    say(event="done", best_epoch=stop.best_epoch + 1)
    return 0


def _reporter(keras: Any, epochs: int) -> Any:
    class Report(keras.callbacks.Callback):  # type: ignore[misc]
        """Says every epoch, and between epochs how far the current one is (at most twice a second)."""

        last_loss: float | None = None

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch, self._began, self._said = epoch, time.monotonic(), 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.last_loss = (logs or {}).get("loss")
            if time.monotonic() - self._said > 0.5:
                self._said = time.monotonic()
                say(event="batch", epoch=self._epoch + 1, share=(batch + 1) / (self.params["steps"] or 1))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs = logs or {}
            seconds = time.monotonic() - self._began
            names = {"loss": "loss", "accuracy": "accuracy", "val_loss": "val_loss", "val_accuracy": "val_accuracy"}
            values = {name: float(logs[key]) for name, key in names.items()}
            if all(np.isfinite(value) for value in values.values()):
                say(event="epoch", number=epoch + 1, of=epochs, seconds=seconds, **values)

    return Report()


def _die_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(70)


if __name__ == "__main__":
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.nice(5)  # the web server shares the machine
    sys.exit(main(Path(sys.argv[1])))
