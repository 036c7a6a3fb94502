"""The tables of a release as CSV (for people and spreadsheets), JSON lines and Parquet (for programs: nothing is neutralised)."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import count, islice
from typing import IO

from datasets.methods.bundles import BundleReader, BundleRefused, BundleWriter, csv_lines
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
        writer.add(f"{table.name}.parquet", partial(_parquet, table))


LONGEST_LINE = 1_000_000  # bytes
LARGEST_COLUMN, ROWS_OF_OBJECTS = 256 * 1024**2, 50


def read(bundle: BundleReader, name: str) -> Iterator[dict[str, object]]:
    """The rows of a table as `write_jsonl` or `write_parquet` wrote them, in pieces; moments as ISO text.

    Raises BundleRefused where the table is not there or does not read.
    """
    if f"{name}.jsonl" in bundle.names:
        yield from _read_jsonl(bundle, f"{name}.jsonl")
    elif f"{name}.parquet" in bundle.names:
        yield from _plain(_read_parquet(bundle, f"{name}.parquet"))
    else:
        raise BundleRefused(f"There is no {name}.jsonl and no {name}.parquet in the bundle; CSV tables are not verbatim.")


def _read_jsonl(bundle: BundleReader, name: str) -> Iterator[dict[str, object]]:
    with bundle.open(name) as file:
        for number in count(1):
            line = file.readline(LONGEST_LINE + 1)
            if not line:
                return
            try:
                row = json.loads(line, parse_constant=_no_number) if len(line) <= LONGEST_LINE else None
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise BundleRefused(f"{name}, line {number}, is no JSON object of at most {LONGEST_LINE:,} bytes.")
            yield row


def _no_number(text: str) -> float:
    raise ValueError(text)


def _read_parquet(bundle: BundleReader, name: str) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import compute, parquet

    with tempfile.TemporaryFile() as file:
        with bundle.open(name) as stored:
            shutil.copyfileobj(stored, file, 1 << 20)
        try:
            opened = parquet.ParquetFile(file)
            groups = (opened.metadata.row_group(number) for number in range(opened.metadata.num_row_groups))
            if any(
                group.column(number).total_uncompressed_size > LARGEST_COLUMN
                for group in groups
                for number in range(group.num_columns)
            ):
                raise BundleRefused(f"{name} unpacks into more than {LARGEST_COLUMN // 1024**2} MB a column.")
            # A text that every row repeats is stored once: kept so until few rows at a time are made of it.
            texts = [
                field.name
                for field in opened.schema_arrow
                if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
            ]
            file.seek(0)
            for batch in parquet.ParquetFile(file, read_dictionary=texts).iter_batches(ROWS_AT_ONCE):
                for column in batch.columns:
                    known = column.dictionary if pa.types.is_dictionary(column.type) else column
                    is_text = pa.types.is_string(known.type) or pa.types.is_large_string(known.type)
                    if is_text and (compute.max(compute.binary_length(known)).as_py() or 0) > LONGEST_LINE:
                        raise BundleRefused(f"{name} holds a text of more than {LONGEST_LINE:,} bytes.")
                for start in range(0, batch.num_rows, ROWS_OF_OBJECTS):
                    yield from batch.slice(start, ROWS_OF_OBJECTS).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise BundleRefused(f"{name} does not read as Parquet: {str(error)[:200]}") from None


def _plain(rows: Iterable[Row]) -> Iterator[dict[str, object]]:
    for row in rows:
        yield {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _parquet(table: Table) -> IO[bytes]:
    """A file in groups of rows, so that memory does not grow with the table."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), datetime: pa.timestamp("us", tz="UTC")}
    schema = pa.schema([pa.field(name, types[kind]) for name, (kind, _meaning) in table.columns.items()])
    rows = table.rows()
    file = tempfile.TemporaryFile()  # noqa: SIM115 (whoever gets it closes it)
    with parquet.ParquetWriter(file, schema) as target:
        while group := list(islice(rows, ROWS_AT_ONCE)):
            target.write_table(pa.Table.from_pylist([dict(row) for row in group], schema))
    file.seek(0)
    return file
