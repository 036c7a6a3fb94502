"""The networks are built in a process of their own, as in production: TensorFlow stays out of the test process."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json
import keras
import numpy as np
from mer.methods import networks
from mer.methods.params import TrainingParams
out = {"fused": {}, "varied": {}}
x = np.random.default_rng(0).random((2, 6, 30, 20, 3), dtype=np.float32)
for all_states in (True, False):
    theirs, ours = (kind(5, 3, return_sequences=all_states) for kind in (keras.layers.ConvLSTM2D, networks.FusedConvLSTM2D))
    expected = np.asarray(theirs(x))
    ours.build(x.shape)
    first = np.asarray(ours.bias).tolist()
    ours.set_weights([w + 0.01 * n for n, w in enumerate(theirs.get_weights())])
    theirs.set_weights(ours.get_weights())
    expected = np.asarray(theirs(x))
    out["fused"][str(all_states)] = [float(np.abs(np.asarray(ours(x)) - expected).max()), list(ours.compute_output_shape(x.shape)) == list(expected.shape), first]
for values in ({"network": "cnn", "depth": 2}, {"network": "cnn", "width": 0.5}, {"network": "crnn", "depth": 2}, {"network": "crnn", "width": 0.5}):
    made = networks.build(TrainingParams(**values), 3)
    out["varied"][json.dumps(values)] = [layer.filters for layer in made.layers if hasattr(layer, "filters")]
for name, build in networks.BUILDERS.items():
    network = build(3, dropout=0.5)
    out[name] = {
        "weights": network.count_params(),
        "layers": [[type(layer).__name__, list(layer.output.shape[1:])] for layer in network.layers],
    }
def reading(shape, kind):
    stack = [kind(n, 3, return_sequences=n != networks.CRNN_FILTERS[-1]) for n in networks.CRNN_FILTERS]
    dense = [keras.layers.Dense(n) for n in (184, 172, 3)]
    return keras.Sequential([keras.Input(shape), *stack, keras.layers.BatchNormalization(), keras.layers.Flatten(), *dense]).count_params()
out["readings"] = [reading((1, 126, 258, 1), keras.layers.ConvLSTM2D), reading((258, 126, 1), keras.layers.ConvLSTM1D)]
keras.utils.set_random_seed(1)
masks = networks.SpecAugment()
grey = np.full((200, 126, 258, 1), 0.5, np.float32)
seen = np.asarray(masks(grey, training=True))[..., 0] == 1
rows, columns = seen.all(axis=2), seen.all(axis=1)
out["masks"] = {
    "only_stripes": bool((seen == (rows[:, :, None] | columns[:, None, :])).all()), "rows": rows.sum(axis=1).tolist(),
    "columns": columns.sum(axis=1).tolist(), "quiet": bool((np.asarray(masks(grey)) == 0.5).all()),
    "config": networks.SpecAugment.from_config(masks.get_config()).get_config() == masks.get_config(),
}
from mer.methods.adam import FusedAdam
steps = {}
for name, kind in (("theirs", keras.optimizers.Adam), ("ours", FusedAdam)):
    weight, optimizer, rng = keras.Variable(np.linspace(-1, 1, 40, dtype=np.float32).reshape(8, 5)), kind(3e-3), np.random.default_rng(1)
    for step in range(30):
        optimizer.apply([keras.ops.convert_to_tensor(rng.normal(size=(8, 5)).astype(np.float32))], [weight])
    steps[name] = [np.asarray(one) for one in (weight, *optimizer.variables)]
out["adam"] = [len(steps["ours"]) - len(steps["theirs"]), max(float(np.abs(a - b).max()) for a, b in zip(*steps.values()))]
out["moved"] = float(np.abs(steps["ours"][0] - np.linspace(-1, 1, 40).reshape(8, 5)).max())
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


def test_table_3_reading_a_layer_by_layer(built):
    assert built["crnn"]["layers"] == [
        ["Reshape", [126, 6, 43, 1]],
        ["Permute", [6, 126, 43, 1]],
        ["FusedConvLSTM2D", [6, 124, 41, 11]],
        ["FusedConvLSTM2D", [6, 122, 39, 12]],
        ["FusedConvLSTM2D", [6, 120, 37, 16]],
        ["FusedConvLSTM2D", [118, 35, 36]],
        ["BatchNormalization", [118, 35, 36]],
        ["Flatten", [148_680]],
        ["Dense", [184]],
        ["Dropout", [184]],
        ["Dense", [172]],
        ["Dropout", [172]],
        ["Dense", [3]],
    ]


def test_table_3_has_the_weights_of_all_its_readings(built):
    """A by our network; B and C by the same list of layers in Keras' own, over the whole picture as one step and over frames."""
    assert built["crnn"]["weights"] == 27_488_295
    b, c = built["readings"]
    assert 195_000_000 < b < 196_000_000 and c == 847_335


def test_the_compact_network_has_few_weights_and_no_flattening(built):
    assert built["compact"]["weights"] == 70_275
    names = [name for name, _ in built["compact"]["layers"]]
    assert "GlobalAveragePooling2D" in names and "Flatten" not in names and names[0] == "SpecAugment"


def test_masks_are_whole_stripes_over_time_and_bands_and_only_while_it_trains(built):
    masks = built["masks"]
    assert masks["only_stripes"] and masks["quiet"] and masks["config"]
    assert max(masks["rows"]) <= 40 and max(masks["columns"]) <= 80, "at most two of each"
    # The mean width of one is half of the most; two overlap now and then.
    assert 15 < sum(masks["rows"]) / 200 < 20 and 32 < sum(masks["columns"]) / 200 < 40


def test_the_fused_convlstm_is_keras_own_to_rounding_with_the_same_weights(built):
    for difference, shape_is_right, bias in built["fused"].values():
        assert difference < 1e-6 and shape_is_right
        assert bias == [0.0] * 5 + [1.0] * 5 + [0.0] * 10, "forget gates begin open"


def test_the_fused_adam_takes_keras_own_steps_to_rounding_and_keeps_the_same_variables(built):
    more_variables, difference = built["adam"]
    assert more_variables == 0 and difference < 1e-6 and built["moved"] > 0.01


def test_ablations_change_depth_and_filters_and_nothing_else(built):
    assert list(built["varied"].values()) == [[16, 32], [8, 16, 32, 56], [11, 12], [6, 6, 8, 18]]


def test_the_compact_crnn_reads_sixteen_steps(built):
    layers = built["compact-crnn"]["layers"]
    assert ["TimeDistributed", [16, 48]] in layers and ["GRU", [64]] in layers and built["compact-crnn"]["weights"] == 61_971
