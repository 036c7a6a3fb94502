"""The networks of the paper, layer by layer, in Keras 3. Imported by the training process only: TensorFlow comes with it.

Input: one grey spectrogram as float32 in [0, 1] [shape=(126, 258, 1)]; output: softmax over the labels.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from mer.methods.params import INPUT_SHAPE, N_SLICES, NETWORKS, PICTURELESS, TrainingParams


@keras.saving.register_keras_serializable("mer")
class SpecAugment(layers.Layer):
    """Blank stripes over time and over mel bands while it trains (D. S. Park et al., SpecAugment, Interspeech 2019, without its warping).

    `n` stripes of each kind, each as wide as a draw between 0 and `most_steps` columns or `most_bands` rows, in another place in every
    picture. Input and output float [shape=(n, bands, steps, 1)]; what is hidden becomes `fill` (1: white, silence).
    """

    def __init__(self, n: int = 2, most_steps: int = 40, most_bands: int = 20, fill: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n, self.most_steps, self.most_bands, self.fill = n, most_steps, most_bands, fill
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        hidden = (
            self._stripes(x, x.shape[1], self.most_bands)[:, :, None, None]
            | self._stripes(x, x.shape[2], self.most_steps)[:, None, :, None]
        )
        return ops.where(hidden, ops.cast(self.fill, x.dtype), x)

    def _stripes(self, x: Any, size: int, most: int) -> Any:
        """Which places of one axis are hidden in each picture, bool [shape=(n, size)]."""
        shape = (ops.shape(x)[0], self.n, 1)
        width = keras.random.uniform(shape, 0, most, seed=self.seed_generator)
        begin = keras.random.uniform(shape, 0, 1, seed=self.seed_generator) * (size - width)
        place = ops.cast(ops.arange(size), "float32")[None, None, :]
        return ops.any((place >= begin) & (place < begin + width), axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"n": self.n, "most_steps": self.most_steps, "most_bands": self.most_bands, "fill": self.fill}
        return dict(super().get_config()) | own


@keras.saving.register_keras_serializable("mer")
class FusedConvLSTM2D(layers.Layer):
    """Keras' ConvLSTM2D (X. Shi et al., Convolutional LSTM Network, NeurIPS 2015) with the input's convolution done once for all steps.

    Same weights, in the same order, and the same result to rounding; faster, because one large convolution uses a processor better than one
    a step, and nothing is convolved with the state of zeros before the first step. Input float [shape=(n, steps, height, width, channels)];
    output the last state, or all of them with `return_sequences`. The input is not padded, the state is.
    """

    def __init__(self, filters: int, kernel_size: int, *, return_sequences: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.return_sequences = filters, kernel_size, return_sequences

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        size, n = (self.kernel_size, self.kernel_size), 4 * self.filters
        self.kernel = self.add_weight(shape=(*size, input_shape[-1], n), initializer="glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(*size, self.filters, n), initializer="orthogonal", name="recurrent_kernel")
        self.bias = self.add_weight(shape=(n,), initializer=self._remembering, name="bias")

    def _remembering(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Forget gates begin open, as Keras' do."""
        place = ops.arange(shape[0])
        return ops.cast((place >= self.filters) & (place < 2 * self.filters), dtype or "float32")

    def call(self, x: Any) -> Any:
        steps, image = x.shape[1], x.shape[2:]
        # Time first: a step is then one piece of memory, and the gradients of all steps are put side by side instead of added up.
        in_time = ops.reshape(ops.transpose(x, (1, 0, 2, 3, 4)), (-1, *image))
        seen = ops.conv(in_time, self.kernel, padding="valid") + self.bias
        state = memory = None
        states = []
        for gates in ops.unstack(ops.reshape(seen, (steps, -1, *seen.shape[1:])), steps, axis=0):
            if state is not None:
                gates = gates + ops.conv(state, self.recurrent_kernel, padding="same")
            take, keep, new, show = ops.split(gates, 4, axis=-1)
            fresh = ops.sigmoid(take) * ops.tanh(new)
            memory = fresh if memory is None else ops.sigmoid(keep) * memory + fresh
            state = ops.sigmoid(show) * ops.tanh(memory)
            states.append(state)
        return ops.stack(states, axis=1) if self.return_sequences else state

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        n, steps, height, width, _channels = input_shape
        assert height is not None and width is not None
        image = (height - self.kernel_size + 1, width - self.kernel_size + 1, self.filters)
        return (n, steps, *image) if self.return_sequences else (n, *image)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "kernel_size": self.kernel_size, "return_sequences": self.return_sequences}
        return {**super().get_config(), **own}


def _answer(n_labels: int) -> layers.Layer:
    """Probabilities in float32 whatever the layers before work in: bfloat16 has three digits."""
    return layers.Dense(n_labels, activation="softmax", dtype="float32")


CNN_FILTERS = (16, 32, 64, 112)
CRNN_FILTERS = (11, 12, 16, 36)


def cnn(n_labels: int, *, dropout: float, depth: int = 4, width: float = 1.0) -> keras.Model:
    """Table 2: four 3x3 convolutions without padding, one pooling, two dense layers; 105,832,947 weights for 3 labels.

    826,000 values (59 x 125 x 112) enter the first dense layer, which holds 99.9% of the weights. depth, width : for the paper's
    ablations, how many of the convolutions there are, and by what their filters are multiplied.
    """
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            *(layers.Conv2D(max(1, round(width * n)), 3, activation="relu") for n in CNN_FILTERS[:depth]),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(128, activation="relu"),
            layers.Dropout(dropout),
            _answer(n_labels),
        ],
        name="cnn",
    )


def crnn(n_labels: int, *, dropout: float, depth: int = 4, width: float = 1.0) -> keras.Model:
    """Table 3, reading A: the picture is cut into 6 slices of 126 x 43 (258 = 6 x 43) that four ConvLSTM layers read in order.

    27,488,295 weights for 3 labels; as ConvLSTM1D over frames (reading C) the same stack has 847,335. The table's own list of filters is not
    at hand: docs/decisions/0004-the-crnn-of-table-3.md says what is known and how this one was found. depth, width : as of `cnn`.
    """
    filters = [max(1, round(width * n)) for n in CRNN_FILTERS[:depth]]
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            layers.Reshape((INPUT_SHAPE[0], N_SLICES, INPUT_SHAPE[1] // N_SLICES, 1)),
            layers.Permute((2, 1, 3, 4)),
            *(FusedConvLSTM2D(n, 3, return_sequences=True) for n in filters[:-1]),
            FusedConvLSTM2D(filters[-1], 3),
            layers.BatchNormalization(momentum=0.8),  # a few hundred steps: the usual 0.99 would not have settled
            layers.Flatten(),
            layers.Dense(184, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(172, activation="relu"),
            layers.Dropout(dropout),
            _answer(n_labels),
        ],
        name="crnn",
    )


def _compact_blocks(filters: tuple[int, ...]) -> list[layers.Layer]:
    """Random stripes, then small convolutions with normalisation, each halving the picture."""
    blocks: list[layers.Layer] = [SpecAugment()]
    for n in filters:
        blocks += [
            layers.Conv2D(n, 3, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.8),  # a few hundred steps: the usual 0.99 would not have settled
            layers.ReLU(),
            layers.MaxPooling2D(2),
        ]
    return blocks


def compact(n_labels: int, *, dropout: float) -> keras.Model:
    """Four small convolutions with normalisation and global pooling: 70,275 weights for 3 labels, for a few hundred tracks."""
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            *_compact_blocks((16, 32, 64, 80)),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(dropout),
            _answer(n_labels),
        ],
        name="compact",
    )


def compact_crnn(n_labels: int, *, dropout: float) -> keras.Model:
    """The same small convolutions, then a GRU along time over what is left of the picture (7 bands x 16 steps): 61,971 weights for 3 labels.

    After K. Choi et al., Convolutional Recurrent Neural Networks for Music Classification, ICASSP 2017.
    """
    return keras.Sequential(
        [
            keras.Input((*INPUT_SHAPE, 1)),
            *_compact_blocks((16, 32, 48, 48)),
            layers.Permute((2, 1, 3)),  # time first
            layers.TimeDistributed(layers.GlobalAveragePooling1D()),
            layers.GRU(64),
            layers.Dropout(dropout),
            _answer(n_labels),
        ],
        name="compact-crnn",
    )


# Each network of the list that sees pictures is made by the function of its name.
BUILDERS: dict[str, Callable[..., keras.Model]] = {
    name: globals()[name.replace("-", "_")] for name in NETWORKS if name not in PICTURELESS
}


def build(params: TrainingParams, n_labels: int) -> keras.Model:
    """The network that these parameters ask for."""
    values: dict[str, Any] = {"dropout": params.dropout}
    if params.depth is not None:
        values["depth"] = params.depth
    if params.width is not None:
        values["width"] = params.width
    return BUILDERS[params.network](n_labels, **values)


def load(path: Path) -> keras.Model:
    """A network of ours; safe mode: a file holds weights and layers by name, never code."""
    return keras.saving.load_model(path, compile=False, safe_mode=True)
