import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mer.methods.params import TrainingParams
from mer.methods.training import class_weights, mixed, precision_of, resize_pictures


def test_pictures_become_126_by_258_without_new_grey_levels():
    picture = np.random.default_rng(0).integers(0, 256, (2, 128, 256), dtype=np.uint8)
    resized = resize_pictures(picture)
    assert resized.shape == (2, 126, 258, 1) and resized.dtype == np.float32
    assert resized.min() >= 0 and resized.max() <= 1
    assert set(np.unique(np.round(resized[0] * 255).astype(int))) <= set(np.unique(picture[0]).tolist())


def test_class_weights_make_labels_count_the_same():
    weights = class_weights(np.array([0, 0, 0, 1]), 3)
    assert weights[0] * 3 == pytest.approx(weights[1] * 1)
    assert weights[2] == 0


def train(folder: Path, **values: object) -> tuple[int, list[dict]]:
    """Run the program on eight random pictures, with an input that stays open as its parent's pipe does."""
    _write_inputs(folder, **values)
    program = [sys.executable, "-m", "mer.methods.training", folder]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        lines = process.stdout.readlines()
        code = process.wait()
    return code, [json.loads(line) for line in lines if line.startswith(b"{")]


def _write_inputs(folder: Path, **values: object) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, 128, 256), dtype=np.uint8)
    truth = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    part = np.array(["train"] * 4 + ["validation"] * 2 + ["test"] * 2)
    shares = np.eye(3)[truth] * 0.6 + 0.4 / 3
    np.savez(folder / "data.npz", pictures=pictures, truth=truth, shares=shares, part=part, owner=np.arange(8))
    small = {"width": 0.25} if values.get("network", "crnn") == "crnn" else {}
    params = TrainingParams.of(**({"network": "crnn", "epochs": 2} | small | values)).as_dict()
    (folder / "spec.json").write_text(json.dumps({"params": params, "labels": ["a", "b", "c"]}))


def test_a_closed_standard_input_ends_it(tmp_path):
    """Its parent has died: it must not train on alone."""
    _write_inputs(tmp_path, epochs=10_000, patience=10_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "mer.methods.training", tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        while not process.stdout.readline().startswith(b'{"event": "epoch"'):
            assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=30) == 70


def test_a_loss_that_becomes_nan_is_a_sentence(tmp_path):
    code, messages = train(tmp_path, learning_rate=1e30)
    assert code == 1
    assert "learning rate" in messages[-1]["reason"]


@pytest.fixture(scope="module")
def twice(tmp_path_factory) -> list[tuple[Path, list[dict]]]:
    """The same training two times, in bfloat16."""
    found = []
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name)
        code, said = train(folder, precision="bfloat16")
        assert code == 0
        found.append((folder, said))
    return found


def test_the_same_run_twice_gives_the_same_probabilities(twice):
    found = [np.load(folder / "probabilities.npy") for folder, _said in twice]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].shape == (8, 3)
    np.testing.assert_allclose(found[0].sum(axis=1), 1, atol=1e-5)
    folder, said = twice[0]
    assert [line["number"] for line in said if line["event"] == "epoch"] == [1, 2]
    built = next(line for line in said if line["event"] == "built")
    assert built["precision"] == "bfloat16"
    assert (folder / "network.keras").stat().st_size < 1.2 * 4 * built["weights"], "the file holds more than the weights"


def test_a_stored_network_answers_as_it_answered_when_it_was_trained(twice):
    folder, _said = twice[0]
    program = (
        "import sys, numpy as np; from pathlib import Path; from mer.methods import networks; from mer.methods.training import resize_pictures;"
        "folder = Path(sys.argv[1]); X = resize_pictures(np.load(folder / 'data.npz')['pictures']);"
        "P = networks.load(folder / 'network.keras').predict(X, verbose=0, batch_size=16);"
        "print(float(np.abs(P - np.load(folder / 'probabilities.npy')).max()))"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    assert float(done.stdout.strip().splitlines()[-1]) < 1e-6
    with np.load(folder / "saliency.npz") as looked:
        assert looked["owner"].tolist() == [4, 5, 6, 7] and looked["pictures"].shape == (4, 126, 258)


@pytest.mark.parametrize(
    "values",
    [
        {"network": "compact", "epochs": 4, "dropout": 0.5},  # dropout and masks: the most that is drawn at random
        {"network": "crnn", "epochs": 3, "width": 0.1, "precision": "bfloat16", "mixup": 0.2},  # layers and optimizer of our own
    ],
    ids=["compact", "crnn"],
)
def test_a_training_that_was_killed_goes_on_and_ends_as_one_that_was_not(tmp_path, values):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    code, said = train(whole, batch_size=2, **values)
    assert code == 0
    _write_inputs(broken, batch_size=2, **values)
    program = [sys.executable, "-m", "mer.methods.training", broken]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not process.stdout.readline().startswith(b'{"event": "epoch", "number": 2'):
            assert process.poll() is None
        process.kill()
    assert len(list(broken.glob("state-*.npz"))) <= 2 and (broken / "state.json").exists()
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        again = [json.loads(line) for line in process.stdout.readlines() if line.startswith(b"{")]
        assert process.wait() == 0
    losses = [
        [(line["number"], line["loss"], line["val_loss"]) for line in lines if line["event"] == "epoch"] for lines in (said, again)
    ]
    assert losses[0] == losses[1] and len(losses[0]) == values["epochs"]
    (resumed,) = [line["epoch"] for line in again if line["event"] == "resumed"]
    assert 1 <= resumed < values["epochs"] and "resumed" not in {line["event"] for line in said}
    np.testing.assert_array_equal(np.load(whole / "probabilities.npy"), np.load(broken / "probabilities.npy"))
    assert not list(broken.glob("state*"))


def test_learning_from_vote_shares_is_another_training(tmp_path, twice):
    code, said = train(tmp_path, epochs=1, vote_shares=True, precision="float32")
    assert code == 0 and next(line["precision"] for line in said if line["event"] == "built") == "float32"
    losses = [next(line["loss"] for line in lines if line["event"] == "epoch") for lines in (said, twice[0][1])]
    assert abs(losses[0] - losses[1]) > 0.005


def test_mixup_blends_pictures_and_answers_by_the_same_share_and_mostly_keeps_them():
    X = np.arange(6, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 1), np.float32)
    y = np.eye(6, dtype=np.float32)
    blended, answers = mixed(X, y, 0.2, seed=[1, 0, 1])
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(blended[:, 0, 0, 0], answers @ np.arange(6), atol=1e-5)
    assert (answers.argmax(axis=1) == np.arange(6)).all()
    again, _answers = mixed(X, y, 0.2, seed=[1, 0, 1])
    np.testing.assert_array_equal(blended, again)
    assert mixed(X, y, 0.0, seed=[1]) == (X, y)


def test_precision_is_what_was_asked_for_and_a_gpu_keeps_float32():
    assert precision_of(TrainingParams(precision="bfloat16"), has_gpu=True) == "bfloat16"
    assert precision_of(TrainingParams(precision="float32"), has_gpu=False) == "float32"
    assert precision_of(TrainingParams(), has_gpu=True) == "float32"
