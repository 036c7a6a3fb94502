"""AudioFolder: a folder a part with its recordings and a metadata.jsonl beside them, as Hugging Face's `load_dataset` reads it.

Only tracks whose recording goes along are in it: the loader refuses rows without a file.
"""

import json
from collections.abc import Iterator

from datasets.methods.bundles import BundleWriter
from datasets.methods.formats import Contents, Row

PARTS = ("train", "validation", "test")  # the loader knows these names


def write(contents: Contents, writer: BundleWriter) -> None:
    names = {recording.track_id: recording.name for recording in contents.recordings()}
    for part in PARTS:
        lines = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in _rows(contents, names, part)]
        if lines:
            writer.add_lines(f"data/{part}/metadata.jsonl", lines)
    parts = {row["track_id"]: row["part"] for row in contents.tracks.rows()}
    for recording in contents.recordings():
        writer.add(f"data/{parts[recording.track_id]}/{recording.name}", recording.open)


def _rows(contents: Contents, names: dict[int, str], part: str) -> Iterator[Row]:
    for row in contents.tracks.rows():
        if row["part"] == part and row["track_id"] in names:
            # The loader wants a column to have one type in all parts: a stretch is told in numbers, also where it is the whole recording.
            start_s = float(str(row["start_s"] or 0))
            stretch = {"start_s": start_s, "end_s": row["end_s"] or start_s + float(str(row["duration_s"]))}
            yield {"file_name": names[int(str(row["track_id"]))], **row, **stretch}
