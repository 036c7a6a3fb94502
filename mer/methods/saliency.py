"""Where a network looks: the picture's own gradient. Imported by the training process only: TensorFlow comes with it.

The gradient of the most probable label's log-probability with respect to each cell of the picture (K. Simonyan, A. Vedaldi, A. Zisserman.
Deep Inside Convolutional Networks. ICLR workshop 2014), smoothed. Not Grad-CAM: the last maps of the CRNN have no place in the picture any
more, and one method for every network keeps them comparable.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMOOTHING = 4.0  # cells: what a person can point at


def saliency(network: Any, pictures: NDArray[np.float32], *, batch_size: int = 8) -> NDArray[np.uint8]:
    """How much each cell of a picture moves the answer [shape=(n, 126, 258)], 0 least and 255 most of its own picture.

    Parameters
    ----------
    network : a Keras network with softmax output. pictures : float32 in [0, 1] [shape=(n, 126, 258, 1)].
    """
    import tensorflow as tf
    from scipy.ndimage import gaussian_filter

    found = []
    for start in range(0, len(pictures), batch_size):
        x = tf.convert_to_tensor(pictures[start : start + batch_size])
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = tf.reduce_sum(tf.math.log(tf.reduce_max(network(x, training=False), axis=-1) + 1e-12))
        found += list(np.abs(np.asarray(tape.gradient(score, x))[..., 0]))
    smooth = [gaussian_filter(one, SMOOTHING) for one in found]
    return np.array([_stretched(one) for one in smooth], dtype=np.uint8).reshape(-1, *pictures.shape[1:3])


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    if not high > low or not np.isfinite(high):  # nothing in the picture moves the answer
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.round(255 * (values - low) / (high - low)), dtype=np.uint8)
