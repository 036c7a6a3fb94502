"""Whatever comes in from outside is read or refused with a sentence: no parser ends in another error, and none takes what it should not."""

import io
import json
import math
import tarfile
import zipfile
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch
from urllib.parse import quote

import pytest
from django.core import signing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.utils.exceptions import IllegalCharacterError

from annotate.errors import AnnotateError
from annotate.methods import imports
from config import keeping
from datasets.errors import MERError
from datasets.methods import bundles, lists, schemes, splits, youtube
from datasets.methods.bundles import BundleReader, BundleRefused, BundleWriter
from datasets.methods.formats import record, tables
from datasets.services import tokens

WORDS = st.sampled_from(
    ["url", "title", "start", "end", "label", "word", "track", "rater", "part", "track_id", "https://youtu.be/dQw4w9WgXcQ", "1:15", "-1",
     "1e999", "nan", "happy", "train", "#ffffff", "0.5", "2024-01-01", "\u202e", "\0", "\ud7ff", "=1+1", "'", '"', ",", ";", "\t", "\n", "\r"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=60).map("".join), st.lists(WORDS, max_size=60).map(",".join))
BYTES = st.one_of(st.binary(max_size=400), TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
PLAYLIST = "https://www.youtube.com/playlist?list=PLrAXtmErZgOeiKm4sgNOknGvNjby9efdf"
ACCESS = youtube.Access(api_key="key")
QUICK = settings(max_examples=150, deadline=None)


@QUICK
@given(BYTES, st.sampled_from(["a.csv", "a.tsv", "a.xlsx", "a.txt", "a", "a.exe"]))
def test_a_list_is_read_or_refused(data, name):
    try:
        found = lists.read_table(data, name)
        lists.unused_columns(data, name)
    except MERError:
        return
    assert found and all("\n" not in line.title and len(line.address) <= 500 for line in found)


@QUICK
@given(st.lists(st.lists(st.one_of(TEXTS, st.floats(allow_nan=True), st.dates(), st.times()), max_size=5), max_size=5))
def test_a_spreadsheet_is_read_or_refused(rows):
    book, buffer = Workbook(), io.BytesIO()
    for row in rows:
        try:
            book.active.append(row)
        except (ValueError, IllegalCharacterError):  # what no spreadsheet can hold
            return
    book.save(buffer)
    try:
        assert lists.read_cells(buffer.getvalue(), "a.xlsx")
    except MERError:
        return


@QUICK
@given(TEXTS)
def test_pasted_lines_schemes_and_splits_are_read_or_refused(text):
    for read in (lists.read_lines, schemes.read_table, lambda text: splits.read_parts(text.encode("utf-8", "surrogatepass"))):
        try:
            read(text)
        except (MERError, ValueError):
            continue


@QUICK
@given(st.lists(st.tuples(st.integers(1, 99), st.dictionaries(st.sampled_from(imports.FIELDS), TEXTS)), max_size=8))
def test_ratings_are_taken_or_named_with_their_line(rows):
    full = [(line, dict.fromkeys(imports.FIELDS, "") | row) for line, row in rows]
    try:
        read, problems = imports.check(full, words={"happy": "positive"}, labels={"positive": "Positive"}, names={})
    except AnnotateError:
        return
    assert len(read) + len(problems) >= len(rows)
    assert all(row.valence is None or -1 <= row.valence <= 1 for row in read)


@QUICK
@given(st.binary(max_size=600), st.integers(0, 500), st.binary(max_size=8))
def test_a_bundle_that_is_none_or_was_changed_is_refused(noise, place, change):
    with TemporaryDirectory() as folder:
        path = Path(folder, "b.zip")
        path.write_bytes(noise)
        assert bundles.verify(path) != []
        writer = BundleWriter(path, "v1")
        writer.add_bytes("tracks.jsonl", b'{"track_id": 1}\n')
        writer.close()
        whole = path.read_bytes()
        assert bundles.verify(path) == []
        changed = whole[:place] + change + whole[place + len(change) :]
        path.write_bytes(changed)
        assert changed == whole or bundles.verify(path) != [] or _same_content(whole, changed)


def _same_content(one: bytes, other: bytes) -> bool:
    """Bytes that say nothing of the files (a date in the zip's directory) may be others."""
    with zipfile.ZipFile(io.BytesIO(one)) as first, zipfile.ZipFile(io.BytesIO(other)) as second:
        return {name: first.read(name) for name in first.namelist()} == {name: second.read(name) for name in second.namelist()}


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=15,
)


@QUICK
@given(st.one_of(st.binary(max_size=200), VALUES.map(lambda value: json.dumps(value).encode())))
def test_a_record_and_its_tables_are_read_or_refused(content):
    with TemporaryDirectory() as folder:
        path = Path(folder, "b.zip")
        writer = BundleWriter(path, "v1")
        for name in (record.NAME, "tracks.jsonl"):
            writer.add_bytes(name, content)
        writer.close()
        bundle = BundleReader(path)
        for read in (record.read, lambda bundle: list(tables.read(bundle, "tracks"))):
            try:
                read(bundle)
            except BundleRefused:
                continue
        bundle.close()


@QUICK
@given(st.binary(max_size=1500), st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=60))
def test_a_backup_that_is_none_is_refused(noise, name):
    with TemporaryDirectory() as folder:
        path = Path(folder, "b.tar")
        path.write_bytes(noise)
        _refused(path)
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(noise)
            tar.addfile(info, io.BytesIO(noise))
        _refused(path)


def _refused(path: Path) -> None:
    try:
        keeping.check_backup(path)
    except keeping.BackupRefused:
        return
    raise AssertionError("it was taken for a backup")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
INFO = st.dictionaries(
    st.sampled_from(
        ["id", "title", "duration", "age_limit", "is_live", "was_live", "live_status", "entries", "artist", "license", "items", "status",
         "madeForKids"]
    ),
    st.one_of(JSON, st.sampled_from(["is_live", "dQw4w9WgXcQ", 18, 1e299, 1e308, 10**400])), max_size=8,
)  # fmt: skip


@QUICK
@given(INFO)
def test_whatever_is_said_of_a_video_it_is_taken_or_not_for_a_reason(info):
    why = youtube._policy(info, 600.0, age_restricted=False, live_recordings=False)
    assert why is None or "it is" in why
    if info.get("duration") == 1e299 or info.get("is_live") is True:
        assert why


@QUICK
@given(st.one_of(INFO, st.fixed_dictionaries({"entries": st.lists(st.one_of(INFO, JSON), max_size=5)})))
def test_whatever_is_said_of_a_playlist_its_videos_have_ids(info):
    with patch.object(youtube, "_extract", return_value=info):
        title, entries = youtube.expand(youtube.addresses.parse(PLAYLIST), access=ACCESS, most=9)
    assert isinstance(title, str)
    assert all(len(entry.identifier) == 11 and (entry.duration_s is None or math.isfinite(entry.duration_s)) for entry in entries)


@QUICK
@given(st.one_of(BYTES, JSON.map(json.dumps).map(str.encode), INFO.map(json.dumps).map(str.encode)))
def test_whatever_the_data_api_answers_it_is_yes_no_or_a_refusal(content):
    downloader = SimpleNamespace(urlopen=lambda request: io.BytesIO(content))
    with patch.object(youtube, "_door", lambda access, options: nullcontext(downloader)):
        try:
            assert youtube.is_made_for_kids("dQw4w9WgXcQ", access=ACCESS) in (True, False)
        except youtube.FetchFailed as fact:
            assert "could not be read" in str(fact)


def test_the_data_api_is_believed_where_it_says_so():
    for said, wanted in (
        ({"items": [{"status": {"madeForKids": True}}]}, True),
        ({"items": [{"status": {}}]}, False),
        ({"items": []}, False),
    ):
        assert youtube._says_for_kids(said) is wanted


HEADERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HEADERS, st.text(max_size=60))
def test_made_up_tokens_cookies_and_signatures_open_nothing_and_break_nothing(client, header, text):
    answer = client.get("/api/v1/tracks/", headers={"Authorization": f"Token {header}"})
    assert answer.status_code in (401, 429)
    client.cookies["sessionid"] = header
    client.cookies["csrftoken"] = header
    assert client.get("/tracks/").status_code == 302
    with pytest.raises(signing.BadSignature):
        tokens.track_of_signature(text)
    assert client.get(f"/audio/{quote(text, safe='')}/").status_code == 404
