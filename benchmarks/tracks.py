"""The first page of the tracks with 100,000 of them, against 1,000, on SQLite and on PostgreSQL: `python -m benchmarks.tracks`.

Each track has a settled label and a waveform, as real ones have. Medians of page loads by a logged-in curator, of each order and filter by
itself: the plain first page does not depend on how many tracks there are, a search that finds nothing has to look at all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
QUERIES = (
    "", "?state=ready", "?sort=title", "?sort=agreement", "?label=sad&sort=-duration_s", "?agreement=all", "?source=youtube",
    "?search=Piece+99", "?search=nothing+like+it", "?reason=vocals", "?mark=gone",
)  # fmt: skip
LOADS = 7


def fill(upto: int) -> None:
    from django.db import connection

    from datasets.models import AudioFile, Track
    from datasets.services import tracks

    dataset = tracks.default_dataset()
    start = Track.objects.count()
    for first in range(start, upto, 5000):
        rows = Track.objects.bulk_create(
            Track(
                dataset=dataset, title=f"Piece {number * 7919 % 1_000_003}", artist=f"Artist {number % 400}", source="file", state="ready",
                duration_s=60 + number % 240, label=("positive", "neutral", "sad")[number % 3], agreement=(0.6, 0.8, 1.0)[number % 3],
            )
            for number in range(first, min(first + 5000, upto))
        )  # fmt: skip
        AudioFile.objects.bulk_create(
            AudioFile(
                track=row,
                kind="wav",
                file="x.wav",
                size=1,
                sha256="",
                duration_s=row.duration_s,
                peaks=[n % 100 for n in range(400)],
            )
            for row in rows
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def load(client: Any) -> list[float]:
    """Median milliseconds of each page; the first load of each is not counted."""
    times: dict[str, list[float]] = {query: [] for query in QUERIES}
    for _ in range(LOADS + 1):
        for query in QUERIES:
            began = time.perf_counter()
            assert client.get(f"/tracks/{query}").status_code == 200
            times[query].append(1000 * (time.perf_counter() - began))
    return [statistics.median(times[query][1:]) for query in QUERIES]


def measure() -> dict[str, Any]:
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("curator"))
    found = []
    for n in (1000, 100_000):
        fill(n)
        found.append(load(client))
    return {"database": connection.vendor, "ms": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="measure on the database of the environment (used by itself)")
    if parser.parse_args().here:
        print(json.dumps(measure()))
        return
    from tests import postgres

    for address in ("", postgres.address()):
        with tempfile.TemporaryDirectory(prefix="mer-bench-") as folder:
            environment = os.environ | {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"}
            environment |= {"DATABASE_URL": address} if address else {}
            command = [sys.executable, "-m", "benchmarks.tracks", "--here"]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        small, large = result["ms"]
        for query, few, many in zip(QUERIES, small, large, strict=True):
            print(
                f"{result['database']:<10} {query or 'the first page':<30} {few:6.1f} ms with 1,000 tracks, {many:6.1f} ms with 100,000:"
                f" {many / few:5.2f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()
