"""MusiCNN put together anew answers as the network that its authors saved: their own graph is run beside ours, on the same patches."""

import json
import subprocess
import sys
import wave

import numpy as np
import pytest

from mer.errors import SpectrogramImpossible, WeightsMissing
from mer.methods import musicnn

# Runs in a process of its own: TensorFlow must not come into the tests' process. The graph's part up to the logits is cut out of the
# authors' meta graph and its variables are restored from their checkpoint by TensorFlow itself.
ORIGINAL = """
import json, sys
import numpy as np
import tensorflow as tf
from mer.methods import musicnn
tf1 = tf.compat.v1
worst, spread = 0.0, 0.0
for model in musicnn.MODELS:
    folder = f"{musicnn.weights_folder()}/{model}_musicnn/"
    meta = tf1.MetaGraphDef()
    meta.ParseFromString(open(folder + ".meta", "rb").read())
    part = tf1.graph_util.extract_sub_graph(meta.graph_def, ["model/dense_1/BiasAdd"])
    reader = tf1.train.NewCheckpointReader(folder)
    x = np.random.default_rng(7).random((3, musicnn.PATCH, musicnn.N_MELS), dtype=np.float32) * 4
    with tf.Graph().as_default() as graph:
        tf1.import_graph_def(part, name="")
        variables = [node.name for node in part.node if node.op == "VariableV2"]
        with tf1.Session(graph=graph) as session:
            for name in variables:
                session.run(tf1.assign(graph.get_tensor_by_name(name + ":0"), reader.get_tensor(name)))
            holders = [node for node in graph.get_operations() if node.type == "Placeholder"]
            feed = {one.outputs[0]: (False if one.outputs[0].dtype == tf.bool else x) for one in holders}
            theirs = session.run("model/dense_1/BiasAdd:0", feed)
    weights = musicnn.read_weights(model)
    ours = musicnn.embed(x, weights) @ reader.get_tensor("dense_1/kernel") + reader.get_tensor("dense_1/bias")
    worst, spread = max(worst, float(np.abs(ours - theirs).max())), max(spread, float(theirs.std()))
print(json.dumps({"worst": worst, "spread": spread}))
"""


def test_the_answers_are_those_of_the_authors_own_graph():
    done = subprocess.run([sys.executable, "-c", ORIGINAL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["spread"] > 0.5 and found["worst"] < 1e-4


def test_a_program_of_its_own_answers_for_each_wav_or_says_why_not(tmp_path):
    paths = []
    for name, seconds in (("long", 7.0), ("short", 1.0)):
        y = np.sin(2 * np.pi * 440 * np.arange(int(seconds * 22_050)) / 22_050) * 0.5
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setnchannels(1), file.setsampwidth(2), file.setframerate(22_050)
            file.writeframes((y * 32767).astype("<i2").tobytes())
        paths.append(str(tmp_path / f"{name}.wav"))
    command = [sys.executable, "-m", "mer.methods.musicnn"]
    done = subprocess.run(command, input="\n".join([*paths, paths[0]]) + "\n", capture_output=True, text=True)
    first, second, third = (json.loads(line) for line in done.stdout.splitlines())
    assert len(first["values"]) == len(musicnn.MODELS) * 2 * musicnn.WIDTH and first == third
    assert all(np.isfinite(value) for value in first["values"].values())
    assert "Too short: 1.0 s" in second["reason"]


def test_patches_are_whole_and_what_is_left_over_is_dropped():
    assert musicnn.patches(np.zeros((musicnn.PATCH * 2 + 5, 96), np.float32)).shape == (2, 187, 96)
    with pytest.raises(SpectrogramImpossible, match="3 s are needed"):
        musicnn.patches(np.zeros((musicnn.PATCH - 1, 96), np.float32))


def test_without_the_weights_the_way_to_get_them_is_told(monkeypatch):
    monkeypatch.setattr(musicnn.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsMissing, match=r"requirements-weights.txt"):
        musicnn.weights_folder()
