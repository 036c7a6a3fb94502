"""The tables of a release as CSV (for people and spreadsheets), JSON lines and Parquet (for programs: nothing is neutralised)."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import IO

from datasets.methods.bundles import BundleWriter, csv_lines
from datasets.methods.formats import Contents, Row, Table

ROWS_AT_ONCE = 5000


def write_csv(contents: Contents, writer: BundleWriter) -> None:
    for table in contents.tables:
        writer.add_lines(f"{table.name}.csv", csv_lines(list(table.columns), _plain(table.rows())))


def write_jsonl(contents: Contents, writer: BundleWriter) -> None:
    for table in contents.tables:
        lines = (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in _plain(table.rows()))
        writer.add_lines(f"{table.name}.jsonl", lines)


def write_parquet(contents: Contents, writer: BundleWriter) -> None:
    for table in contents.tables:
        with tempfile.TemporaryFile() as file:
            _parquet(table, file)
            file.seek(0)
            writer.add(f"{table.name}.parquet", file)


def _plain(rows: Iterable[Row]) -> Iterator[dict[str, object]]:
    for row in rows:
        yield {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _parquet(table: Table, file: IO[bytes]) -> None:
    """In groups of rows, so that memory does not grow with the table."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), datetime: pa.timestamp("us", tz="UTC")}
    schema = pa.schema([pa.field(name, types[kind]) for name, (kind, _meaning) in table.columns.items()])
    rows = table.rows()
    with parquet.ParquetWriter(file, schema) as target:
        while group := list(islice(rows, ROWS_AT_ONCE)):
            target.write_table(pa.Table.from_pylist([dict(row) for row in group], schema))
