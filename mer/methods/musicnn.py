"""What MusiCNN hears in a recording: embeddings of two networks that were trained to tag music, for a linear model on a few hundred tracks.

A recording is cut into patches of 3 s; each network answers a patch with the 200 numbers of its last hidden layer; a track is their mean
and spread over its patches. The weights lie in the wheel of `musicnn` 0.1.0 (ISC licence) as checkpoints of TensorFlow 1; its code does not
run any more and is not used: the network is put together here from its description [1]. A program of its own, because TensorFlow hangs in
a forked process:

    python -m mer.methods.musicnn

Each line of standard input is the path of a 16-bit mono wav of 22,050 Hz; each answer is a JSON object with `values` or a `reason`. It ends
when its standard input closes.

Conventions
-----------
y : float32 samples in [-1, 1] [shape=(n,)], mono, 22,050 Hz.
M : float32 log-mel spectrogram [shape=(n_frames, 96)], at 16,000 Hz and hop 256.
patches : float32 [shape=(n, 187, 96)].

References
----------
.. [1] J. Pons, X. Serra. musicnn: Pre-trained convolutional neural networks for music audio tagging. ISMIR late-breaking demo, 2019.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer.errors import SpectrogramImpossible, WeightsMissing

VERSION = 1  # of the numbers: another version is measured anew
MODELS = ("MSD", "MTT")  # trained on the Million Song Dataset and on MagnaTagATune
WIDTH = 200  # numbers of the last hidden layer
SR, FILE_SR, N_FFT, HOP, N_MELS = 16_000, 22_050, 512, 256, 96
PATCH = 187  # frames: 3 s
AT_ONCE = 16  # patches

Floats = NDArray[np.float32]


def weights_folder() -> Path:
    """Where the wheel of `musicnn` lies; it is looked for, never imported. Raises WeightsMissing."""
    spec = importlib.util.find_spec("musicnn")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissing(
            "The weights of MusiCNN are not installed: pip install --no-deps -r requirements-weights.txt (make run does it)."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def log_mel(y: NDArray[np.float32]) -> Floats:
    """M of a recording, as the networks were trained on it, in float32: the original's float16 overflows in loud music."""
    import librosa

    heard = librosa.resample(y, orig_sr=FILE_SR, target_sr=SR)
    power = librosa.feature.melspectrogram(y=heard, sr=SR, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS)
    return np.asarray(np.log10(10_000 * power.T + 1), dtype=np.float32)


def patches(M: Floats) -> Floats:  # noqa: N803  (as in the conventions)
    """As many whole patches as there are. Raises SpectrogramImpossible for less than one."""
    n = len(M) // PATCH
    if not n:
        raise SpectrogramImpossible(f"Too short: {len(M) * HOP / SR:.1f} s of sound, and 3 s are needed for its embedding.")
    return M[: n * PATCH].reshape(n, PATCH, N_MELS)


def read_weights(model: str) -> dict[str, Floats]:
    """The checkpoint's arrays by name, without what only its training needed."""
    import tensorflow as tf

    reader = tf.compat.v1.train.NewCheckpointReader(f"{weights_folder() / f'{model}_musicnn'}/")
    names = [name for name in reader.get_variable_to_shape_map() if "Adam" not in name and name.partition("_")[0] != "beta1"]
    return {name: reader.get_tensor(name) for name in names if "/" in name}


def embed(found: Floats, weights: dict[str, Floats]) -> Floats:
    """The last hidden layer for each patch [shape=(n, 200)]: timbral and temporal filters, three dense convolutions, pooling over time."""
    import tensorflow as tf

    def normalised(x: Any, number: int) -> Any:
        name = "batch_normalization" + (f"_{number}" if number else "")
        return tf.nn.batch_normalization(
            x, *(weights[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "beta", "gamma")), 1e-3
        )

    def convolved(x: Any, number: int, norm: int, padding: str) -> Any:
        name = "conv2d" + (f"_{number}" if number else "")
        filtered = tf.nn.conv2d(x, weights[f"{name}/kernel"], strides=1, padding=padding) + weights[f"{name}/bias"]
        return normalised(tf.nn.relu(filtered), norm)

    def in_time(x: Any) -> Any:
        return tf.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]])

    x = normalised(tf.constant(found)[..., None], 0)
    front = [tf.reduce_max(convolved(in_time(x), number, number + 1, "VALID"), axis=2) for number in (0, 1)]
    front += [tf.reduce_max(convolved(x, number, number + 1, "SAME"), axis=2) for number in (2, 3, 4)]
    layers = [tf.concat(front, 2)[..., None]]
    hidden = tf.transpose(convolved(in_time(layers[0]), 5, 6, "VALID"), [0, 1, 3, 2])
    layers.append(hidden)
    for number in (6, 7):
        hidden = hidden + tf.transpose(convolved(in_time(hidden), number, number + 1, "VALID"), [0, 1, 3, 2])
        layers.append(hidden)
    together = tf.concat(layers, 2)
    # The two poolings stand side by side for each channel before they are flattened, so that they alternate.
    pooled = tf.concat([tf.reduce_max(together, axis=1), tf.reduce_mean(together, axis=1)], 2)
    flat = normalised(tf.reshape(pooled, [len(found), -1]), 9)
    dense = tf.nn.relu(tf.matmul(flat, weights["dense/kernel"]) + weights["dense/bias"])
    return np.asarray(normalised(dense, 10))


def extract(y: NDArray[np.float32], weights: dict[str, dict[str, Floats]]) -> dict[str, float]:
    """The embedding of a recording by name: mean and spread of each number over the patches, for each network."""
    cut = patches(log_mel(y))
    values: dict[str, float] = {}
    for model in MODELS:
        rows = np.concatenate([embed(cut[at : at + AT_ONCE], weights[model]) for at in range(0, len(cut), AT_ONCE)])
        for what, numbers in (("mean", rows.mean(axis=0)), ("spread", rows.std(axis=0))):
            values |= {f"{model.lower()}_{number}_{what}": round(float(value), 6) for number, value in enumerate(numbers)}
    return values


def main() -> None:
    from datasets.methods.audio import read_wav

    weights = {model: read_weights(model) for model in MODELS}
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"values": extract(read_wav(Path(line.rstrip("\n"))), weights)}
        except SpectrogramImpossible as fact:
            answer = {"reason": str(fact)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
