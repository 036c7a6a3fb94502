"""The networks of the paper, layer by layer, in Keras 3. Imported by the training process only: TensorFlow comes with it.

Input: one grey spectrogram as float32 in [0, 1] [shape=(126, 258, 1)]; output: softmax over the labels.
"""

from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from mer.methods.params import INPUT_SHAPE, N_SLICES


def cnn(n_labels: int, *, dropout: float) -> keras.Model:
    """Table 2: four 3x3 convolutions without padding, one pooling, two dense layers; 105,832,947 weights for 3 labels.

    826,000 values (59 x 125 x 112) enter the first dense layer, which holds 99.9% of the weights.
    """
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Conv2D(112, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(n_labels, activation="softmax"),
        ],
        name="cnn",
    )


def crnn(n_labels: int, *, dropout: float) -> keras.Model:
    """Table 3, reading A: the picture is cut into 6 slices of 126 x 43 (258 = 6 x 43) that ConvLSTM layers read in order.

    See docs/decisions/0004-the-crnn-of-table-3.md for the three readings and for what the table leaves open.
    """
    slice_width = INPUT_SHAPE[1] // N_SLICES
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            layers.Reshape((INPUT_SHAPE[0], N_SLICES, slice_width, 1)),
            layers.Permute((2, 1, 3, 4)),
            layers.ConvLSTM2D(16, 3, return_sequences=True),
            layers.TimeDistributed(layers.MaxPooling2D(2)),
            layers.ConvLSTM2D(32, 3),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(n_labels, activation="softmax"),
        ],
        name="crnn",
    )


def compact(n_labels: int, *, dropout: float) -> keras.Model:
    """Four small convolutions with normalisation and global pooling: 70,275 weights for 3 labels, for a few hundred tracks.

    Rectangles of the picture are erased at random while it trains: the masks of SpecAugment (D. S. Park et al., Interspeech 2019).
    """
    blocks: list[layers.Layer] = []
    for filters in (16, 32, 64, 80):
        blocks += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.8),  # a few hundred steps: the usual 0.99 would not have settled
            layers.ReLU(),
            layers.MaxPooling2D(2),
        ]
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            layers.RandomErasing(factor=0.8, scale=(0.02, 0.2), fill_value=1.0, value_range=(0, 1)),
            *blocks,
            layers.GlobalAveragePooling2D(),
            layers.Dropout(dropout),
            layers.Dense(n_labels, activation="softmax"),
        ],
        name="compact",
    )


BUILDERS: dict[str, Callable[..., keras.Model]] = {"cnn": cnn, "crnn": crnn, "compact": compact}


def load(path: Path) -> keras.Model:
    """A network of ours; safe mode: a file holds weights and layers by name, never code."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)
