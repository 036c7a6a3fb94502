"""An index as mirdata's loaders read it: for every track its files with their MD5 checksums (which mirdata asks for)."""

import hashlib
import json
import tempfile
from collections.abc import Iterable
from itertools import chain
from typing import IO

from datasets.methods.bundles import BLOCK, BundleWriter
from datasets.methods.formats import Contents, Recording
from datasets.methods.formats.jams import annotated


def write(contents: Contents, writer: BundleWriter) -> None:
    recordings = contents.recordings()
    recording = next(recordings, None)
    with tempfile.TemporaryFile() as entries:  # the index is written last, and does not fit into memory
        for number, track in enumerate(contents.tracks.rows()):
            audio: list[str | None] = [None, None]
            if recording and recording.track_id == track["track_id"]:  # both are in the order of their tracks
                audio = [f"audio/{recording.name}", _add(writer, recording)]
                recording = next(recordings, None)
            name = f"annotations/{track['track_id']}.json"
            text = json.dumps(annotated(track, [], contents.about), ensure_ascii=False, indent=1, sort_keys=True).encode()
            writer.add_bytes(name, text)
            entry = {"audio": audio, "annotation": [name, hashlib.md5(text, usedforsecurity=False).hexdigest()]}
            comma = "," if number else ""
            entries.write(f'{comma}\n  "{track["track_id"]}": {json.dumps(entry, sort_keys=True)}'.encode())
        entries.seek(0)
        head = f'{{\n "version": {json.dumps(contents.about.name)},\n "tracks": {{'.encode()
        writer.add_lines("index.json", chain([head], _blocks(entries), [b"\n }\n}\n"]))


def _add(writer: BundleWriter, recording: Recording) -> str:
    """Write a recording and return its MD5."""
    name = f"audio/{recording.name}"
    writer.add(name, recording.open)
    digest = hashlib.md5(usedforsecurity=False)
    for block in writer.blocks_of(name):
        digest.update(block)
    return digest.hexdigest()


def _blocks(file: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: file.read(BLOCK), b"")
