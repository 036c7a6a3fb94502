"""A script that fetches what a bundle may not carry: the recordings whose licence is not recorded, from where they came."""

import json

from datasets.methods.bundles import BundleWriter
from datasets.methods.formats import Contents

SCRIPT = '''"""Fetch the recordings that are not in this bundle from where they came: pip install yt-dlp, then python refetch.py

Reads refetch.jsonl beside it, writes fetched/<track_id>.<suffix> and tells which could not be fetched. The checksum is
that of the recording the raters heard; a site may encode the same recording anew, so another checksum is told, not refused.
"""

import hashlib
import json
import pathlib
import sys

here = pathlib.Path(__file__).parent


def rows():
    with (here / "refetch.jsonl").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def found(target, track):
    return [file for folder in (target, here / "audio") for file in folder.glob(f"{track}.*")]


def main():
    import yt_dlp

    target, failed = here / "fetched", 0
    target.mkdir(exist_ok=True)
    for row in rows():
        track, address = str(row["track_id"]), row["source_url"]
        if not address.startswith("https://www.youtube.com/") or any(file.suffix != ".part" for file in found(target, track)):
            continue
        options = {"format": "bestaudio/best", "outtmpl": str(target / f"{track}.%(ext)s"), "quiet": True, "noprogress": True}
        try:
            with yt_dlp.YoutubeDL(options) as site:
                site.extract_info(address)
            [path] = [file for file in target.glob(f"{track}.*") if file.suffix != ".part"]
            same = hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
            stretch = f", rated from {row['start_s'] or 0} s to {row['end_s'] or 'its end'}" if row["start_s"] or row["end_s"] else ""
            print(track, path.name, "the same bytes" if same else "other bytes than the raters heard" + stretch)
        except Exception as error:
            failed += 1
            print(track, address, "could not be fetched:", (str(error).splitlines() or [type(error).__name__])[0], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
'''


COLUMNS = ("track_id", "source_url", "sha256", "start_s", "end_s")


def write(contents: Contents, writer: BundleWriter) -> None:
    writer.add_bytes("refetch.py", SCRIPT.encode())
    lines = (json.dumps({name: row[name] for name in COLUMNS}).encode() + b"\n" for row in contents.tracks.rows())
    writer.add_lines("refetch.jsonl", lines)
