"""Training one network: a program of its own, because TensorFlow hangs in a forked process and must not outlive its task.

    python -m mer.methods.training FOLDER

FOLDER holds `spec.json` (TrainingParams, labels) and `data.npz` (pictures uint8 [shape=(n, 128, 256)], truth int [shape=(n,)], shares
float [shape=(n, n_labels)], part str [shape=(n,)], owner int [shape=(n,)], the number of each picture's track). Progress goes to standard
output as one JSON object a line; `probabilities.npy`, `saliency.npz` and `network.keras` are left in the folder. The program ends when its standard input closes, so that it dies with whoever started it.

After an epoch the folder holds one state to go on from: weights and optimizer, the best weights, the epochs so far. Started again on the
same folder it goes on after the last epoch that was kept, and the result is that of a training that was never interrupted: the order of the
pictures and all that is drawn at random depend on the seed and the epoch alone. At the end the state is removed.
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


FASTER_IN_BFLOAT16 = ("cnn", "crnn")  # measured: the compact ones are too small to gain


def precision_of(params: TrainingParams, *, has_gpu: bool) -> str:
    """bfloat16 where the processor multiplies in it and the network gains by it; a GPU is fast enough in float32."""
    if params.precision != "auto":
        return params.precision
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:  # no Linux
        flags = ""
    has_bfloat16 = "avx512_bf16" in flags or "amx_bf16" in flags
    return "bfloat16" if has_bfloat16 and not has_gpu and params.network in FASTER_IN_BFLOAT16 else "float32"


def mixed(
    X: NDArray[np.float32], y: NDArray[Any], strength: float, *, seed: list[int]  # noqa: N803
) -> tuple[NDArray[np.float32], NDArray[Any]]:  # fmt: skip
    """Each picture blended with another one, and its answer by the same share [same shapes]; as they are for a strength of 0."""
    if strength <= 0:
        return X, y
    rng = np.random.default_rng(seed)
    share = rng.beta(strength, strength, len(X)).astype(np.float32)
    share = np.maximum(share, 1 - share)  # mostly itself
    other = rng.permutation(len(X))
    blended = X * share[:, None, None, None] + X[other] * (1 - share)[:, None, None, None]
    return blended, y * share[:, None] + y[other] * (1 - share)[:, None]


def say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def main(folder: Path) -> int:
    """One training. What runs out of memory, before, within or after it, is told in a sentence."""
    try:
        return _train(folder)
    except Exception as error:
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
            raise
        size = json.loads((folder / "spec.json").read_text())["params"]["batch_size"]
        say(event="failed", reason=f"Out of memory with {size} pictures at a time. Train with a smaller batch.")
        return 1


def _train(folder: Path) -> int:
    spec = json.loads((folder / "spec.json").read_text())
    params = TrainingParams(**spec["params"])
    data = np.load(folder / "data.npz")
    pictures, truth, part = resize_pictures(data["pictures"]), data["truth"], data["part"]

    import keras
    import tensorflow as tf

    from mer.methods import networks
    from mer.methods.adam import FusedAdam

    keras.utils.set_random_seed(params.seed)
    tf.config.experimental.enable_op_determinism()
    n_labels = len(spec["labels"])
    precision = precision_of(params, has_gpu=bool(tf.config.list_physical_devices("GPU")))
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    network = networks.build(params, n_labels)
    soft = params.vote_shares or params.mixup > 0
    target = np.eye(n_labels, dtype=np.float32)[truth] if params.mixup > 0 else truth
    target = data["shares"].astype(np.float32) if params.vote_shares else target
    loss = "categorical_crossentropy" if soft else "sparse_categorical_crossentropy"
    # XLA, which Keras would choose by itself, is slower than TensorFlow's own kernels on a processor.
    network.compile(FusedAdam(params.learning_rate), loss=loss, metrics=["accuracy"], jit_compile=False)
    say(event="built", weights=network.count_params(), precision=precision)

    train, validation = part == "train", part == "validation"
    weights = class_weights(truth[train], n_labels) if params.class_weights else None
    X, y = pictures[train], target[train]  # noqa: N806  (the field's letter)
    state = State(folder, network)
    state.load()
    report = _reporter(keras)
    for epoch in range(len(state.history), params.epochs):
        if state.is_over(params.patience):
            break
        order = np.random.default_rng([params.seed, epoch]).permutation(len(X))
        _reseed(keras, network, params.seed, epoch)
        seen, said_of_them = mixed(X[order], y[order], params.mixup, seed=[params.seed, epoch, 1])
        found = network.fit(
            seen,
            said_of_them,
            validation_data=(pictures[validation], target[validation]),
            initial_epoch=epoch,
            epochs=epoch + 1,
            batch_size=params.batch_size,
            class_weight=weights,
            callbacks=[report, keras.callbacks.TerminateOnNaN()],
            shuffle=False,
            verbose=0,
        )
        if report.last_loss is None or not np.isfinite(report.last_loss):
            say(
                event="failed",
                reason=f"The loss became {report.last_loss}: the learning rate {params.learning_rate} is too high for this network.",
            )
            return 1
        if not np.isfinite(found.history["val_loss"][-1]):
            say(
                event="failed",
                reason=f"The validation loss became {found.history['val_loss'][-1]}: the learning rate {params.learning_rate} is too high for this network.",
            )
            return 1
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        said = {name: float(found.history[name][-1]) for name in names} | {"seconds": report.seconds, "of": params.epochs}
        state.keep(said)
        if all(np.isfinite(value) for value in said.values()):
            say(event="epoch", number=epoch + 1, **said)
    say(event="predicting")
    # A fresh network has no optimizer: the file holds the weights once, not three times. In float32, so that it answers everywhere as it
    # answers here.
    keras.mixed_precision.set_global_policy("float32")
    bare = networks.build(params, n_labels)
    bare.set_weights(state.best_weights())
    np.save(folder / "probabilities.npy", bare.predict(pictures, batch_size=params.batch_size, verbose=0))
    _look(folder, bare, pictures, part, data["owner"])
    bare.save(folder / "network.keras")
    state.remove()
    say(event="done", best_epoch=state.best_epoch + 1)
    return 0


def _look(folder: Path, network: Any, pictures: NDArray[np.float32], part: NDArray[np.str_], owner: NDArray[np.intp]) -> None:
    """Leaves in `saliency.npz` where the network looks in the first picture of each track that it did not learn from."""
    from mer.methods.saliency import saliency

    _tracks, first = np.unique(owner, return_index=True)
    mine = first[part[first] != "train"]
    np.savez(folder / "saliency.npz", owner=owner[mine], pictures=saliency(network, pictures[mine]))


def _reseed(keras: Any, network: Any, seed: int, epoch: int) -> None:
    """What dropout and random masks draw in an epoch depends on the seed and the epoch alone."""
    keras.utils.set_random_seed(seed + epoch)
    generators = [
        value for layer in network.layers for value in vars(layer).values() if isinstance(value, keras.random.SeedGenerator)
    ]
    for number, generator in enumerate(generators):
        generator.state.assign(np.array([seed % 2**31, epoch * 1000 + number], dtype=np.uint32))


class State:
    """What a training goes on from, in its folder; a write that is interrupted leaves the state before it.

    Writing takes a tenth of the time at most: the paper's CNN has 1.3 GB of weights and optimizer, and an epoch may take two seconds. What was
    not written yet is trained again, to the same numbers.
    """

    def __init__(self, folder: Path, network: Any) -> None:
        self._network, self._folder = network, folder
        self._file = folder / "state.json"
        self._best: list[NDArray[np.float32]] = []
        self._written_at, self._writing_s = 0.0, 0.0
        self.history: list[dict[str, float]] = []

    @property
    def best_epoch(self) -> int:
        losses = [epoch["val_loss"] for epoch in self.history]
        return losses.index(min(losses))

    def is_over(self, patience: int) -> bool:
        """Validation loss has not been lower for so many epochs."""
        return bool(self.history) and len(self.history) - 1 - self.best_epoch >= patience

    def load(self) -> None:
        """Go on where an earlier process ended, if one did; its epochs are said again."""
        if not self._file.exists():
            return
        said = json.loads(self._file.read_text())
        self._network.optimizer.build(self._network.trainable_variables)  # it has its variables once it is built
        with np.load(self._folder / said["state"]) as arrays:
            for number, variable in enumerate(self._variables()):
                variable.assign(arrays[f"v{number}"])
            self._best = [arrays[f"best{number}"] for number in range(len(self._network.weights))]
        self.history = said["history"]
        say(event="resumed", epoch=len(self.history))
        for number, epoch in enumerate(self.history, 1):
            say(event="epoch", number=number, **epoch)

    def _variables(self) -> list[Any]:
        return [*self._network.weights, *self._network.optimizer.variables]

    def keep(self, epoch: dict[str, float]) -> None:
        self.history.append(epoch)
        if self.best_epoch == len(self.history) - 1:
            self._best = self._network.get_weights()
        began = time.monotonic()
        if began - self._written_at < 10 * self._writing_s:
            return
        state = f"state-{len(self.history)}.npz"
        arrays: Any = {f"v{number}": np.asarray(one) for number, one in enumerate(self._variables())}
        arrays |= {f"best{number}": one for number, one in enumerate(self._best)}
        np.savez(self._folder / state, **arrays)
        fresh = self._file.with_name("state.new")
        fresh.write_text(json.dumps({"state": state, "history": self.history}))
        fresh.replace(self._file)
        self._remove_but(state)
        self._written_at = time.monotonic()
        self._writing_s = self._written_at - began

    def best_weights(self) -> list[NDArray[np.float32]]:
        return self._best

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)
        self._remove_but("")

    def _remove_but(self, kept: str) -> None:
        for old in self._folder.glob("state-*.npz"):
            if old.name != kept:
                old.unlink()


def _reporter(keras: Any) -> Any:
    class Report(keras.callbacks.Callback):  # type: ignore[misc]
        """Says how far an epoch is (at most twice a second), and knows how long it took."""

        last_loss: float | None = None

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch, self._began, self._said = epoch, time.monotonic(), 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.last_loss = (logs or {}).get("loss")
            if time.monotonic() - self._said > 0.5:
                self._said = time.monotonic()
                say(event="batch", epoch=self._epoch + 1, share=(batch + 1) / (self.params["steps"] or 1))

        @property
        def seconds(self) -> float:
            return time.monotonic() - self._began

    return Report()


def _die_with_parent() -> None:
    while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os._exit(70)


if __name__ == "__main__":
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.nice(5)  # the web server shares the machine
    sys.exit(main(Path(sys.argv[1])))
