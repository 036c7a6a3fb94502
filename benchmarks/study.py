"""`make study`: the whole chain on real music, by the studio's own commands, in a data folder of its own.

    STUDY_DATA=/path/to/folder make study        (docs/guide/public-datasets.md says how to make such a folder)

    STUDY_DATA=/path/to/folder .venv/bin/python -m benchmarks.study closing    every network in folds, controls, and the table of a paper

STUDY_DATA holds `tracks.csv` (columns file, title, artist, licence, external_id) with its audio files and `ratings.csv`
(columns track, rater, word). Optional: STUDY_OUT (where database, media and bundle go; default data/study), STUDY_LIMIT
(only the first so many tracks), STUDY_EPOCHS.
"""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mer.methods import params

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    data = os.environ.get("STUDY_DATA")
    if not data or not Path(data, "tracks.csv").is_file() or not Path(data, "ratings.csv").is_file():
        sys.exit("Set STUDY_DATA to a folder with tracks.csv and ratings.csv; docs/guide/public-datasets.md says how to make one.")
    out = Path(os.environ.get("STUDY_OUT", ROOT / "data" / "study")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    if "closing" in sys.argv[1:]:
        print(closing(Path(data).resolve(), out))
        return
    run_study(Path(data).resolve(), out, limit=int(os.environ.get("STUDY_LIMIT", "0")), epochs=os.environ.get("STUDY_EPOCHS", "30"))


NETWORKS = ("features", "cnn", "crnn")


def run_study(
    data: Path, out: Path, *, limit: int = 0, epochs: str = "30", networks: tuple[str, ...] = NETWORKS, sizes: str = ""
) -> list[tuple[str, dict[str, Any]]]:
    """Every step, in order; a step that fails stops the study with its message. Returns each step's command and result."""
    tracks, ratings = _shortened(data, out, limit) if limit else (data / "tracks.csv", data / "ratings.csv")
    steps: list[list[str]] = [
        ["migrate", "--verbosity", "0"],
        ["ingest", str(tracks), "--dataset", "Study"],
        ["import_ratings", str(ratings), "--dataset", "Study"],
        ["agreement", "--dataset", "Study"],
        ["freeze", "study-v1", "--seed", "1", "--dataset", "Study", *(["--sizes", sizes] if sizes else [])],
        *(["train", "study-v1", "--network", network, "--epochs", epochs] for network in networks),
        ["compare", "study-v1"],
        ["export", "study-v1", "--out", str(out / "study-v1.zip")],
        ["verify", str(out / "study-v1.zip")],
    ]
    results = []
    for step in steps:
        began = time.monotonic()
        result = command(out, *step)
        print(f"{time.monotonic() - began:7.1f} s  {' '.join(step[:2])}: {json.dumps(result)[:1500]}", flush=True)
        results.append((step[0], result))
    return results


# What was broken off is taken for running for half a minute, and stands in the way of the same run.
BROKEN_OFF = """
from datasets.models import Job; from datasets.services import queue
queue.sweep()
for job in Job.objects.filter(state="queued"): queue.cancel(job)
"""


def closing(data: Path, out: Path) -> str:
    """Every network in folds with its defaults, five controls, and all of them on the tracks that every one could be tested on.

    What was trained already is not trained again, so that it can be broken off (two cores: an hour and a half for 200 tracks).
    """
    if not (out / "db.sqlite3").exists():
        for step in (
            ["migrate", "--verbosity", "0"], ["ingest", str(data / "tracks.csv"), "--dataset", "Study"],
            ["import_ratings", str(data / "ratings.csv"), "--dataset", "Study"], ["freeze", "v1", "--seed", "1", "--dataset", "Study"],
        ):  # fmt: skip
            command(out, *step)
    command(out, "shell", "-c", BROKEN_OFF)
    made = [(row["network"], row["seed"], row["control"]) for row in command(out, "compare", "v1")["runs"]]
    asked = [(network, 1, False) for network in params.NETWORKS] + [("ensemble", seed, True) for seed in range(1, 6)]
    for network, seed, is_control in asked:
        if (network, seed, is_control) not in made:
            print(f"{network}, seed {seed}{', shuffled labels' if is_control else ''} ...", flush=True)
            command(
                out,
                "train",
                "v1",
                "--network",
                network,
                "--folds",
                "--seed",
                str(seed),
                *(["--shuffle-labels"] if is_control else []),
            )
    crnn = next(row["run"] for row in command(out, "compare", "v1")["runs"] if row["network"] == "crnn")
    return str(command(out, "compare", "v1", "--shared", "--against", str(crnn))["markdown"])


def command(out: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Run one of the studio's commands on the study's own database and return its JSON line."""
    environment = os.environ | {"DATA_DIR": str(out), "DJANGO_SETTINGS_MODULE": "config.settings", "TF_CPP_MIN_LOG_LEVEL": "2"}
    wants_json = [] if name in ("migrate", "shell") else ["--json"]
    line = [sys.executable, str(ROOT / "manage.py"), name, *arguments, *wants_json]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed with exit code {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1]) if wants_json else {}
    return result


def _shortened(data: Path, out: Path, limit: int) -> tuple[Path, Path]:
    """The first `limit` tracks and their ratings, as lists of their own."""
    with (data / "tracks.csv").open(newline="", encoding="utf-8") as file:
        tracks = list(csv.DictReader(file))[:limit]
    kept = {row["external_id"] for row in tracks}
    with (data / "ratings.csv").open(newline="", encoding="utf-8") as file:
        ratings = [row for row in csv.DictReader(file) if row["track"] in kept]
    for row in tracks:
        row["file"] = str((data / row["file"]).resolve())
    return _write(out / "tracks.csv", tracks), _write(out / "ratings.csv", ratings)


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


if __name__ == "__main__":
    main()
