"""A script that fetches what a bundle may not carry: the recordings whose licence is not recorded, from where they came."""

from datasets.methods.bundles import BundleWriter

SCRIPT = '''"""Fetch the recordings that are not in this bundle from where they came: pip install yt-dlp, then python refetch.py

Reads tracks.csv beside it (or tracks.jsonl), writes fetched/<track_id>.<suffix> and tells which could not be fetched. The checksum is
that of the recording the raters heard; a site may encode the same recording anew, so another checksum is told, not refused.
"""

import csv
import hashlib
import json
import pathlib
import sys

here = pathlib.Path(__file__).parent


def rows():
    if (here / "tracks.csv").exists():
        with (here / "tracks.csv").open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)
    else:
        with (here / "tracks.jsonl").open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def main():
    import yt_dlp

    target, failed = here / "fetched", 0
    target.mkdir(exist_ok=True)
    for row in rows():
        track, address = str(row["track_id"]), row["source_url"]
        if not address or list(target.glob(f"{track}.*")) or list((here / "audio").glob(f"{track}.*")):
            continue
        options = {"format": "bestaudio/best", "outtmpl": str(target / f"{track}.%(ext)s"), "quiet": True, "noprogress": True}
        try:
            with yt_dlp.YoutubeDL(options) as site:
                site.extract_info(address)
            [path] = target.glob(f"{track}.*")
            same = hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
            stretch = f", rated from {row['start_s'] or 0} s to {row['end_s'] or 'its end'}" if row["start_s"] or row["end_s"] else ""
            print(track, path.name, "the same bytes" if same else "other bytes than the raters heard" + stretch)
        except Exception as error:
            failed += 1
            print(track, address, "could not be fetched:", str(error).splitlines()[0], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
'''


def write(writer: BundleWriter) -> None:
    writer.add_bytes("refetch.py", SCRIPT.encode())
