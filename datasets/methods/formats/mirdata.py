"""An index as mirdata's loaders read it: for every track its files with their MD5 checksums (which mirdata asks for)."""

import hashlib
import json

from datasets.methods.bundles import BundleWriter
from datasets.methods.formats import Contents
from datasets.methods.formats.jams import annotated


def write(contents: Contents, writer: BundleWriter) -> None:
    audio: dict[int, list[str]] = {}
    for recording in contents.recordings():
        digest = hashlib.md5(usedforsecurity=False)
        with recording.open() as file:
            while block := file.read(1 << 20):
                digest.update(block)
        audio[recording.track_id] = [f"audio/{recording.name}", digest.hexdigest()]
        with recording.open() as file:
            writer.add(f"audio/{recording.name}", file)
    tracks: dict[str, dict[str, list[str | None]]] = {}
    for track in contents.tracks.rows():
        name = f"annotations/{track['track_id']}.json"
        text = json.dumps(annotated(track, [], contents.about), ensure_ascii=False, indent=1, sort_keys=True).encode()
        writer.add_bytes(name, text)
        digest = hashlib.md5(text, usedforsecurity=False)
        files: list[str | None] = [*audio.get(int(str(track["track_id"])), [None, None])]
        tracks[str(track["track_id"])] = {"audio": files, "annotation": [name, digest.hexdigest()]}
    index = {"version": contents.about.name, "tracks": tracks}
    writer.add_bytes("index.json", json.dumps(index, indent=1, sort_keys=True).encode())
