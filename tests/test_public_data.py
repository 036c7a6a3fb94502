"""The whole chain on twelve pieces of real music with real human ratings, by the commands that `make study` uses.

The data (VGMIDI, see docs/guide/public-datasets.md) is not part of the repository: PUBLIC_DATA names the folder that holds
`vgmidi/` and `render.py`. Without it this one test says what it misses.
"""

import csv
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.study import run_study
from datasets.methods import schemes
from datasets.methods.schemes import PAPER

FOLDER = os.environ.get("PUBLIC_DATA", "")
LABEL_OF = {schemes.key_of(word.name): schemes.key_of(label.name) for label in PAPER for word in label.words}


def chosen(folder: Path) -> list[dict[str, str]]:
    """Four clear pieces a label, long enough for a spectrogram, as many games as possible, short ones first."""
    with (folder / "five_ratings.csv").open(newline="") as file:
        votes: dict[str, Counter[str]] = {}
        for row in csv.DictReader(file):
            votes.setdefault(row["track"], Counter())[LABEL_OF[row["word"]]] += 1
    with (folder / "pieces.csv").open(newline="") as file:
        pieces = [row for row in csv.DictReader(file) if float(row["duration_s"]) > 50]
    found: list[dict[str, str]] = []
    for label in (schemes.key_of(label.name) for label in PAPER):
        clear = [row for row in pieces if votes[row["piece_id"]][label] >= 4]
        clear.sort(key=lambda row: (Counter(_game(other) for other in clear)[_game(row)], float(row["duration_s"])))
        found += clear[:4]
    return found


def _game(row: dict[str, str]) -> str:
    return "_".join(row["midi"].split("_")[:3])


@pytest.mark.skipif(not FOLDER, reason="PUBLIC_DATA is not set: the chain on real music is not tested (tests/test_public_data.py)")
def test_twelve_rated_pieces_go_through_the_whole_chain(tmp_path):
    assert shutil.which("fluidsynth") and shutil.which("ffmpeg"), (
        "render.py needs: sudo apt-get install fluidsynth fluid-soundfont-gm ffmpeg"
    )
    source = Path(FOLDER, "vgmidi")
    rows = chosen(source)
    assert len(rows) == 12
    midi, audio, out = (tmp_path / name for name in ("midi", "audio", "out"))
    for folder in (midi, audio, out):
        folder.mkdir()
    for row in rows:
        shutil.copy(source / "midi" / row["midi"], midi / row["midi"])
    subprocess.run([sys.executable, Path(FOLDER, "render.py"), midi, audio, "--format", "mp3"], check=True, capture_output=True)
    with (audio / "tracks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "title", "artist", "licence", "external_id"])
        for row in rows:
            name = row["midi"].rpartition(".")[0] + ".mp3"
            # Each piece stands for itself: those of so few games could not be in three parts.
            writer.writerow([name, row["name"], "", "test only", row["piece_id"]])
    kept = {row["piece_id"] for row in rows}
    with (source / "five_ratings.csv").open(newline="") as file, (audio / "ratings.csv").open("w", newline="") as target:
        reader = csv.DictReader(file)
        writer = csv.DictWriter(target, reader.fieldnames)
        writer.writeheader()
        writer.writerows(row for row in reader if row["track"] in kept)

    # Without the CNN, which takes a minute more and is trained by the demo.
    results = dict(run_study(audio, out, epochs="1", networks=("features", "crnn"), sizes="6,3,3"))
    assert len(results["ingest"]["ready"]) == 12
    assert results["import_ratings"]["ratings"] == 60
    assert results["agreement"]["per_label"] == {"positive": 4, "neutral": 4, "negative": 4}
    assert results["freeze"]["items"] == 12
    assert {row["network"] for row in results["compare"]["runs"]} == {"features", "crnn"}
    assert all(row["test"]["n"] == 3 for row in results["compare"]["runs"])
    assert results["verify"]["ok"] is True
