"""The networks are built in a process of their own, as in production: TensorFlow stays out of the test process."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json
from mer.methods import networks
out = {}
for name, build in networks.BUILDERS.items():
    network = build(3, dropout=0.5)
    out[name] = {
        "weights": network.count_params(),
        "layers": [[type(layer).__name__, list(layer.output.shape[1:])] for layer in network.layers],
    }
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def built() -> dict:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_table_2_layer_by_layer(built):
    assert built["cnn"]["layers"] == [
        ["Conv2D", [124, 256, 16]],
        ["Conv2D", [122, 254, 32]],
        ["Conv2D", [120, 252, 64]],
        ["Conv2D", [118, 250, 112]],
        ["MaxPooling2D", [59, 125, 112]],
        ["Flatten", [826_000]],
        ["Dense", [128]],
        ["Dropout", [128]],
        ["Dense", [128]],
        ["Dropout", [128]],
        ["Dense", [3]],
    ]


def test_table_2_has_105_832_947_weights(built):
    assert built["cnn"]["weights"] == 105_832_947


def test_the_crnn_reads_six_slices_of_126_by_43(built):
    layers = built["crnn"]["layers"]
    assert ["Permute", [6, 126, 43, 1]] in layers
    assert [name for name, _ in layers].count("ConvLSTM2D") == 2
    assert layers[-1] == ["Dense", [3]]


def test_the_compact_network_has_few_weights_and_no_flattening(built):
    assert built["compact"]["weights"] == 70_275
    names = [name for name, _ in built["compact"]["layers"]]
    assert "GlobalAveragePooling2D" in names and "Flatten" not in names and names[0] == "RandomErasing"
