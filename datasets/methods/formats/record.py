"""What another studio needs beside the tables to hold the same release: `record.json`, in every bundle whose tables are verbatim.

`datasets.services.arrivals` brings such a bundle in; what it is exported as from there is the same, byte for byte.
"""

import json

from datasets.methods.bundles import BundleWriter
from datasets.methods.formats import Contents

NAME = "record.json"


def write(contents: Contents, writer: BundleWriter) -> None:
    text = json.dumps(contents.record, ensure_ascii=False, sort_keys=True, indent=1)
    writer.add_bytes(NAME, text.encode() + b"\n")
