"""Every export format, read back by the library that its users would use, in an environment of its own."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from annotate.services import freezing
from datasets import jobs
from datasets.methods import bundles
from datasets.models import Export
from datasets.services import queue, releases
from mer.methods.params import SpectrogramParams
from mer.services import inputs

pytestmark = [pytest.mark.django_db]
READER = Path(sys.prefix, "readers", "bin", "python")


@pytest.fixture
def unpacked(release, tmp_path):
    """Writes a release in a format and unpacks it: unpacked("jams") -> the folder."""

    def make(format: str) -> Path:
        export = releases.request_export(release, format=format, wake_worker=False)
        assert queue.run_job(export.job_id, jobs.write_export).state == "done"
        export.refresh_from_db()
        path = tmp_path / f"{format}.zip"
        path.write_bytes(export.file.read())
        assert bundles.verify(path) == []
        with zipfile.ZipFile(path) as bundle:
            bundle.extractall(tmp_path / format)
        return tmp_path / format / release.name

    return make


def read_by(script: str, folder: Path) -> dict:
    """What a script prints as JSON, run by the readers' Python with the folder as its argument."""
    code = f"import json, sys\nfolder = sys.argv[1]\n{script}\nprint(json.dumps(result))"
    done = subprocess.run(
        [READER, "-W", "ignore", "-c", code, str(folder)], capture_output=True, text=True, cwd=folder,
        env={"HOME": str(folder.parent), "HF_HOME": str(folder.parent / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_hugging_faces_loader_reads_the_audiofolder_with_its_parts(unpacked, release):
    script = """
from datasets import Audio, load_dataset
found = load_dataset("audiofolder", data_dir=folder + "/data")
row = found["train"].cast_column("audio", Audio(decode=False))[0]
result = {"parts": {name: len(part) for name, part in found.items()}, "label": row["label"], "share": row["share_positive"],
          "bytes": len(row["audio"]["bytes"] or open(row["audio"]["path"], "rb").read())}
"""
    found = read_by(script, unpacked("audiofolder"))
    split = release.splits.first()
    assert found["parts"] == {part: split.members.filter(part=part).count() for part in ("train", "validation", "test")}
    assert found["label"] in release.labels and 0 <= found["share"] <= 1 and found["bytes"] > 1000


def test_jams_reads_every_track_with_every_raters_annotation(unpacked, release):
    release.ratings.filter(pseudonym="R0").update(valence=0.5, arousal=-0.25, confidence=3, known=True)
    script = """
import glob, jams
found = [jams.load(path, validate=True, strict=True) for path in sorted(glob.glob(folder + "/jams/*.jams"))]
result = {"n": len(found), "annotations": sorted({len(one.annotations) for one in found}),
          "raters": sorted({getattr(a.annotation_metadata.annotator, "id", "") for a in found[0].annotations} - {""}),
          "consensus": found[0].annotations[-1].data[0].value, "title": found[0].file_metadata.title,
          "points": [a.data[0].value for a in found[0].annotations if a.namespace == "mood_thayer"],
          "sure": found[0].annotations[0].data[0].confidence, "known": found[0].annotations[0].sandbox.known}
"""
    found = read_by(script, unpacked("jams"))
    first = min(release.items.all(), key=lambda item: str(item.track_id))
    assert (found["n"], found["annotations"]) == (12, [7])
    assert (found["points"], found["sure"], found["known"]) == ([[0.5, -0.25]], 3, True)
    assert found["raters"] == ["R0", "R1", "R2", "R3", "R4"]
    assert (found["consensus"], found["title"]) == (first.label, first.title)


def test_mirdata_validates_the_index_against_the_files(unpacked):
    script = """
import json, mirdata.validate
index = json.load(open(folder + "/index.json"))
missing, wrong = mirdata.validate.validate_index({"tracks": index["tracks"]}, folder, verbose=False)
open(folder + "/" + next(iter(index["tracks"].values()))["audio"][0], "ab").write(b"x")
_missing, changed = mirdata.validate.validate_index({"tracks": index["tracks"]}, folder, verbose=False)
result = {"n": len(index["tracks"]), "missing": missing, "wrong": wrong, "changed": changed}
"""
    found = read_by(script, unpacked("mirdata"))
    assert found["n"] == 12
    assert found["missing"] in ({}, {"tracks": {}}) and found["wrong"] in ({}, {"tracks": {}})
    assert found["changed"] not in ({}, {"tracks": {}})


def test_mlcroissant_validates_the_metadata_and_reads_the_tables(unpacked, release):
    script = """
import mlcroissant as mlc
data = mlc.Dataset(jsonld=folder + "/croissant.json")
rows = list(data.records("tracks"))
ratings = list(data.records("ratings"))
text = lambda value: value.decode() if isinstance(value, bytes) else value
result = {"name": data.metadata.name, "n": len(rows), "ratings": len(ratings), "label": text(rows[0]["tracks/label"]),
          "errors": sorted(data.metadata.ctx.issues.errors), "platform": data.metadata.data_annotation_platform}
"""
    release.ratings.filter(pseudonym="R0").update(valence=0.5, arousal=-0.25, confidence=3, known=True)
    found = read_by(script, unpacked("croissant"))
    assert (found["name"], found["n"], found["ratings"], found["errors"]) == ("songs-v1", 12, 60, [])
    assert found["label"] == release.items.order_by("track_id").first().label
    assert found["platform"] == ["MER Studio"]


def test_parquet_and_json_lines_hold_the_same_rows_verbatim(unpacked, release):
    import pandas as pd

    item = release.items.first()
    item.title = "=HYPERLINK(1)"
    item.save()
    tables, lines = unpacked("parquet"), unpacked("jsonl")
    for name, n in (("tracks", 12), ("ratings", 60), ("splits", 24)):
        parquet = pd.read_parquet(tables / f"{name}.parquet")
        json_lines = pd.read_json(lines / f"{name}.jsonl", lines=True)
        assert len(parquet) == len(json_lines) == n
        assert list(parquet.columns) == list(json_lines.columns)
    assert pd.read_parquet(tables / "tracks.parquet")["title"].iloc[0] == "=HYPERLINK(1)"
    assert pd.read_parquet(tables / "tracks.parquet")["share_positive"].max() == 0.8


@pytest.mark.parametrize("format", Export.Format.values)
def test_every_format_is_the_same_bytes_each_time(release, format):
    digests = set()
    for _ in range(2):
        export = releases.request_export(release, format=format, wake_worker=False)
        assert queue.run_job(export.job_id, jobs.write_export).state == "done"
        export.refresh_from_db()
        digests.add(export.sha256)
    assert len(digests) == 1


def test_the_datasheet_is_written_from_the_data(unpacked, release):
    text = (unpacked("csv") / "datasheet.md").read_text()
    assert "| positive | 4 |" in text and "12 tracks by 12 artists" in text and release.content_hash in text
    assert "60 ratings of 5 raters" in text
    assert "No erratum is known" in text
    release.leakage["clues"] = [{"name": "codec", "n": 12, "accuracy": 0.5, "by_chance": 0.33, "p": 0.02}]
    release.save()
    releases.add_erratum(release, "Piece 3 | is a duet.", by=None)
    folder = unpacked("csv")
    text = (folder / "datasheet.md").read_text()
    assert "Piece 3 \\| is a duet." in text and "| codec | 50% | 33% | 0.020 |" in text
    assert "Piece 3 | is a duet." in (folder / "errata.csv").read_text()


@pytest.mark.parametrize("format", ["csv", "jams", "parquet"])
def test_the_script_that_fetches_again_asks_only_for_what_is_missing(unpacked, release, format):
    release.items.update(licence="", source_url="https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    folder = unpacked(format)
    fake = folder / "yt_dlp.py"
    fake.write_text(
        "import pathlib\n"
        "class YoutubeDL:\n"
        "    def __init__(self, options): self.name = options['outtmpl'].replace('%(ext)s', 'm4a')\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *args): pass\n"
        "    def extract_info(self, address): pathlib.Path(self.name).write_bytes(address.encode())\n"
    )
    done = subprocess.run([sys.executable, folder / "refetch.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "fetched").iterdir())) == 12 and "other bytes" in done.stdout
    (folder / "fetched" / f"{release.items.first().track_id}.webm.part").write_bytes(b"half")
    again = subprocess.run([sys.executable, folder / "refetch.py"], capture_output=True, text=True)
    assert (again.returncode, again.stdout) == (0, "")


def test_the_datasheet_says_when_a_split_came_from_a_file(release, questionnaire):
    from annotate.services import freezing
    from datasets import contents
    from datasets.methods.formats import datasheet

    parts = {item.track_id: ("test" if number % 2 else "train") for number, item in enumerate(release.items.all())}
    later = freezing.freeze(questionnaire, name="given", seed=77, parts=parts)
    text = datasheet.markdown(contents.of(later).about)
    assert "Fixed by a file." in text and "seed 77" not in text


def test_a_picture_that_is_drawn_later_changes_no_bundle(release, make_track, rate, questionnaire):
    long = make_track("Long", seconds=48, licence="CC0-1.0")
    rate(long, "sad sad sad sad sad")
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    digests = []
    for params in (SpectrogramParams(), SpectrogramParams(input="clips")):
        export = releases.request_export(later, format="csv", wake_worker=False)
        assert queue.run_job(export.job_id, jobs.write_export).state == "done"
        export.refresh_from_db()
        digests.append(export.sha256)
        inputs.draw_track(long, [inputs.spectrogram_set(params)])
    assert digests[0] == digests[1]
    with zipfile.ZipFile(export.file.open("rb")) as bundle:
        pictures = [name for name in bundle.namelist() if "/spectrograms/" in name]
    assert len(pictures) == 2 and all(name.endswith(f"/{long.pk}.png") for name in pictures)
