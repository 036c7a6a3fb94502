"""Where a network looks: where the answer is, and nowhere when nothing moves it."""

import subprocess
import sys

PROGRAM = """
import numpy as np, keras
from keras import layers
from mer.methods.saliency import saliency

class Corner(layers.Layer):
    def call(self, x):
        left = keras.ops.mean(x[:, 10:30, 20:60, 0], axis=(1, 2))
        return keras.ops.softmax(keras.ops.stack([left * 4, 1 - left * 4], axis=-1))

inputs = keras.Input((126, 258, 1))
network = keras.Model(inputs, Corner()(inputs))
found = saliency(network, np.random.default_rng(0).random((3, 126, 258, 1), dtype=np.float32))
assert found.shape == (3, 126, 258) and found.dtype == np.uint8, found.shape
y, x = np.unravel_index(found[0].argmax(), found[0].shape)
assert 8 <= y <= 32 and 18 <= x <= 62, (y, x)
assert found[0, 80:, 150:].max() == 0

class Deaf(layers.Layer):
    def call(self, x):
        return keras.ops.softmax(keras.ops.mean(x * 0, axis=(1, 2)) @ keras.ops.ones((1, 3)))

deaf = keras.Model(inputs, Deaf()(inputs))
assert saliency(deaf, np.ones((1, 126, 258, 1), np.float32)).max() == 0
assert saliency(deaf, np.ones((0, 126, 258, 1), np.float32)).shape == (0, 126, 258)
print("looked")
"""


def test_the_brightest_cell_lies_where_the_network_looks_and_a_deaf_one_looks_nowhere():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("looked"), done.stderr[-2000:]
