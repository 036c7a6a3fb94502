"""Every file of the public collection of awkward audio either works, with its true length, or is refused in words."""

import csv
import os
from pathlib import Path

import pytest

from datasets.methods import audio

FOLDER = Path(os.environ.get("PUBLIC_DATA", ""), "awkward_audio")
ROWS = list(csv.DictReader((FOLDER / "manifest.csv").open())) if os.environ.get("PUBLIC_DATA") else []


@pytest.mark.skipif(not ROWS, reason="PUBLIC_DATA is not set: the awkward files are not tried")
def test_each_is_converted_to_its_true_length_or_refused_with_a_reason(tmp_path):
    assert len(ROWS) > 40
    wrong = []
    for row in ROWS:
        truth = float(row["decoded_s"] or 0)
        try:
            converted = audio.convert(FOLDER / row["path"], tmp_path / "out.wav", max_duration_s=3600, timeout_s=60)
        except audio.AudioUnreadable as refused:
            if truth >= audio.MIN_DURATION_S or len(str(refused)) < 20 or "Traceback" in str(refused):
                wrong.append((row["path"], truth, str(refused)))
        else:
            if abs(converted.duration_s - truth) > 0.15 + 0.01 * truth:
                wrong.append((row["path"], truth, converted.duration_s))
    assert wrong == []
