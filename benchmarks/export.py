"""Table exports of 100,000 tracks with five ratings each: `python -m benchmarks.export`.

Every format in a process of its own, so that its peak memory is its own: rows a second, peak memory, and beside it the same with 1,000
tracks, which says how much of the memory grows with the table. Beside them pandas, as a user would write the same tables from frames.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FORMATS = ("csv", "jsonl", "parquet", "croissant", "jams", "mirdata", "audiofolder", "studio")
LABELS = ("positive", "neutral", "negative")


def fill(n_tracks: int) -> None:
    """A release of so many tracks with five ratings each, written straight into the database; every one names the same small recording and the
    same small pictures."""
    from django.core.files.base import ContentFile
    from django.utils import timezone

    from datasets.models import AudioFile, Release, ReleaseItem, ReleaseRating, Split, SplitMember, Track
    from datasets.services.tracks import create_dataset
    from mer.methods.params import RECIPES, SpectrogramParams
    from mer.models import Spectrogram
    from mer.services.inputs import spectrogram_set

    sets = [spectrogram_set(SpectrogramParams(recipe=recipe)) for recipe in RECIPES]
    dataset = create_dataset(name="Big")
    release = Release.objects.create(dataset=dataset, name="big", rule="five ratings", labels=list(LABELS), content_hash="0" * 64)
    split = Split.objects.create(release=release, name="80/10/10", seed=1, parts={})
    now = timezone.now()
    recording = AudioFile._meta.get_field("file").storage.save("audio/one.mp3", ContentFile(b"x" * 400))
    picture = Spectrogram._meta.get_field("image").storage.save("spectrograms/one.png", ContentFile(b"x" * 400))
    for start in range(0, n_tracks, 5000):
        numbers = range(start, min(start + 5000, n_tracks))
        tracks = Track.objects.bulk_create(
            Track(dataset=dataset, title=f"Piece {n}", artist=f"Artist {n // 7}", source="file", state="ready", duration_s=180)
            for n in numbers
        )
        items = ReleaseItem.objects.bulk_create(
            ReleaseItem(
                release=release, track=track, number=track.pk, label=LABELS[track.pk % 3], agreement=0.8, votes={LABELS[track.pk % 3]: 4, "neutral": 1},
                title=track.title, artist=track.artist, sha256="0" * 64, duration_s=180, licence="CC0-1.0",
            )
            for track in tracks
        )  # fmt: skip
        AudioFile.objects.bulk_create(
            AudioFile(track=track, kind="original", file=recording, size=400, sha256="0" * 64) for track in tracks
        )
        for drawn in sets:
            Spectrogram.objects.bulk_create(Spectrogram(set=drawn, track=track, state="ok", image=picture) for track in tracks)
        SplitMember.objects.bulk_create(SplitMember(split=split, item=item, part="train") for item in items)
        ReleaseRating.objects.bulk_create(
            ReleaseRating(
                release=release, track=track, number=track.pk, pseudonym=f"R{n}", word="happy", label="positive", rated_at=now
            )
            for track in tracks
            for n in range(5)
        )


def write(format: str) -> dict[str, float]:
    from datasets import jobs
    from datasets.models import Release
    from datasets.services import queue, releases

    release = Release.objects.get()
    rows = release.items.count() * 2 + release.ratings.count()
    export = releases.request_export(release, format=format, wake_worker=False)
    began = time.perf_counter()
    job = queue.run_job(releases.job_of(export).pk, jobs.write_export)
    assert job and job.state == "done", job and job.reason
    return {"s": time.perf_counter() - began, "rows": rows}


def frames() -> dict[str, float]:
    """The same rows as two frames, written as CSV and zipped."""
    import shutil

    import pandas as pd

    from datasets.models import Release

    release = Release.objects.get()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tracks, ratings = pd.DataFrame(release.items.values()), pd.DataFrame(release.ratings.values())
        tracks.to_csv(Path(folder, "tracks.csv"), index=False)
        ratings.to_csv(Path(folder, "ratings.csv"), index=False)
        shutil.make_archive(str(Path(folder, "bundle")), "zip", folder, "tracks.csv")
    return {"s": time.perf_counter() - began, "rows": len(tracks) + len(ratings)}


def in_its_own_process(what: str, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.export", "--what", what]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--what", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what:
        import django

        django.setup()
        step, _, number = options.what.partition(":")
        result: dict[str, Any] = {}
        if step == "fill":
            fill(int(number))
        else:
            result = frames() if step == "pandas" else write(step)
        result["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
        return
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for n in (1000, options.tracks):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"}
            subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
            in_its_own_process(f"fill:{n}", environment)
            found[n] = {what: in_its_own_process(what, environment) for what in (*FORMATS, "pandas")}
    print(f"{options.tracks:,} tracks, five ratings each (with 1,000 tracks)")
    for what, row in found[options.tracks].items():
        print(f"  {what:<10} {row['rows'] / row['s']:>9,.0f} rows/s, peak {row['mb']:.0f} MB ({found[1000][what]['mb']:.0f} MB)")


if __name__ == "__main__":
    main()
