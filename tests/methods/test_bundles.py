import hashlib
import io
import tempfile
import warnings
import zipfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.methods import bundles


@pytest.fixture
def bundle(tmp_path):
    path = tmp_path / "b.zip"
    writer = bundles.BundleWriter(path, "songs-v1")
    writer.add_bytes("a.txt", b"hello")
    writer.add_bytes("deep/b.txt", b"world" * 100_000)
    writer.close()
    return path


def test_a_whole_bundle_has_no_problems(bundle):
    assert bundles.verify(bundle) == []


def test_it_is_the_same_bytes_every_time(bundle, tmp_path):
    again = tmp_path / "again.zip"
    writer = bundles.BundleWriter(again, "songs-v1")
    writer.add_bytes("a.txt", b"hello")
    writer.add_bytes("deep/b.txt", b"world" * 100_000)
    writer.close()
    assert again.read_bytes() == bundle.read_bytes()


FILES = {f"{number}.txt": bytes([number]) * (number * 1000) for number in range(8)}


def write_all(path: Path, on_file=None) -> list[str]:
    """Which files were asked for."""
    asked = []

    def opened(name):
        asked.append(name)
        return io.BytesIO(FILES[name])

    with bundles.BundleWriter(path, "songs", on_file) as writer:
        for name in FILES:
            writer.add(name, partial(opened, name))
        writer.close()
    return asked


def stop_after(n):
    def on_file(done):
        if done == n:
            raise KeyboardInterrupt

    return on_file


@given(
    stopped=st.integers(1, 8), lost_of_zip=st.integers(0, 9000), lost_of_journal=st.integers(0, 400), garbage=st.binary(max_size=50)
)
@settings(deadline=None, max_examples=60)
def test_a_writer_goes_on_where_a_killed_one_stopped_and_the_bytes_are_the_same(stopped, lost_of_zip, lost_of_journal, garbage):
    with tempfile.TemporaryDirectory() as name:
        whole, half = Path(name, "whole.zip"), Path(name, "half.zip")
        assert write_all(whole) == list(FILES)
        with pytest.raises(KeyboardInterrupt):
            write_all(half, stop_after(stopped))
        for path, lost in ((half, lost_of_zip), (half.with_suffix(".journal"), lost_of_journal)):
            path.write_bytes(path.read_bytes()[: max(0, path.stat().st_size - lost)] + garbage)
        asked = write_all(half)
        assert half.read_bytes() == whole.read_bytes()
        assert asked == list(FILES)[len(FILES) - len(asked) :]
        if not lost_of_zip and not lost_of_journal:
            assert asked == list(FILES)[stopped:]


def test_a_file_that_rotted_meanwhile_and_all_behind_it_are_written_anew(tmp_path):
    whole, half = tmp_path / "whole.zip", tmp_path / "half.zip"
    write_all(whole)
    with pytest.raises(KeyboardInterrupt):
        write_all(half, stop_after(6))
    content = bytearray(half.read_bytes())
    content[content.index(b"\3" * 100)] = 0
    half.write_bytes(content)
    assert write_all(half) == ["3.txt", "4.txt", "5.txt", "6.txt", "7.txt"]
    assert half.read_bytes() == whole.read_bytes()


def test_two_writers_do_not_write_the_same_zip(tmp_path):
    with bundles.BundleWriter(tmp_path / "b.zip", "songs"), pytest.raises(BlockingIOError):
        bundles.BundleWriter(tmp_path / "b.zip", "songs")


def test_a_file_that_is_gone_at_the_next_attempt_is_not_in_the_bundle(tmp_path):
    half, fresh = tmp_path / "half.zip", tmp_path / "fresh.zip"
    with pytest.raises(KeyboardInterrupt):
        write_all(half, stop_after(6))
    for path in (half, fresh):
        with bundles.BundleWriter(path, "songs") as writer:
            for name in ("0.txt", "1.txt", "4.txt", "7.txt"):
                writer.add(name, partial(io.BytesIO, FILES[name]))
            writer.close()
    assert half.read_bytes() == fresh.read_bytes() and bundles.verify(half) == []


def test_a_name_is_in_a_bundle_once(tmp_path):
    with bundles.BundleWriter(tmp_path / "b.zip", "songs") as writer:
        writer.add_bytes("a.txt", b"hello")
        with pytest.raises(ValueError, match=r"a\.txt is in the bundle already"):
            writer.add_bytes("a.txt", b"hello")


def test_bytes_that_hide_between_the_files_are_found(bundle):
    content = bundle.read_bytes()
    place = content.index(b"PK\1\2")  # the zip's own list, whose place its last record names
    end = bytearray(content[place:])
    where = end.rindex(b"PK\5\6") + 16
    end[where : where + 4] = (place + 6).to_bytes(4, "little")
    bundle.write_bytes(content[:place] + b"hidden" + bytes(end))
    assert any("other bytes" in problem for problem in bundles.verify(bundle))


def test_what_was_written_is_read_back(tmp_path):
    writer = bundles.BundleWriter(tmp_path / "b.zip", "songs")
    writer.add_bytes("a.txt", b"hello")
    writer.add_bytes("b.txt", b"world" * 1_000_000)
    assert b"".join(writer.blocks_of("b.txt")) == b"world" * 1_000_000
    assert b"".join(writer.blocks_of("a.txt")) == b"hello"
    writer.close()


def rewrite(bundle, change) -> None:
    with zipfile.ZipFile(bundle) as source:
        files = {name: source.read(name) for name in source.namelist()}
    change(files)
    with zipfile.ZipFile(bundle, "w") as target:
        for name, content in files.items():
            target.writestr(name, content)


def test_a_changed_a_missing_and_an_added_file_are_named(bundle):
    def change(files):
        files["songs-v1/a.txt"] = b"jello"
        del files["songs-v1/deep/b.txt"]
        files["songs-v1/evil.txt"] = b"x"

    rewrite(bundle, change)
    problems = " ".join(bundles.verify(bundle))
    assert (
        "a.txt was changed" in problems
        and "deep/b.txt is listed but missing" in problems
        and "evil.txt is in the bundle but not" in problems
    )


def test_damage_truncation_and_other_files_are_problems_not_crashes(bundle, tmp_path):
    content = bytearray(bundle.read_bytes())
    content[200] ^= 0xFF
    broken = tmp_path / "broken.zip"
    broken.write_bytes(content)
    assert bundles.verify(broken)
    broken.write_bytes(bundle.read_bytes()[:-200])
    assert bundles.verify(broken)
    broken.write_bytes(b"not a zip")
    assert "cannot be read" in bundles.verify(broken)[0]


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_formula_is_neutralised(value):
    assert bundles.neutral(value) == f"'{value}"
    assert bundles.neutral(-1.5) == -1.5


def packed(path, *entries, before: bytes = b"", after: bytes = b"", **values) -> Path:
    """A zip with a right SHA256SUMS for what it holds, whatever that is."""
    with zipfile.ZipFile(path, "w") as bundle:
        sums = ""
        for name, content in entries:
            info = zipfile.ZipInfo(f"b/{name}" if not name.startswith("/") else name)
            info.external_attr = values.get("mode", 0o100644) << 16
            info.compress_type = values.get("compress", zipfile.ZIP_STORED)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                bundle.writestr(info, content)
            sums += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        bundle.writestr("b/SHA256SUMS", values.get("sums", sums))
    path.write_bytes(before + path.read_bytes() + after)
    return path


@pytest.mark.parametrize(
    ("entries", "values", "why"),
    [
        ([("a.csv", b"forged"), ("a.csv", b"good")], {}, "in the bundle twice"),
        ([("../../etc/evil", b"x")], {}, "no name of a file in a bundle"),
        ([("/etc/evil", b"x")], {}, "no name of a file in a bundle"),
        ([("link", b"/etc/passwd")], {"mode": 0o120777}, "no plain file"),
        ([("a.csv", b"x")], {"before": b"#!/bin/sh"}, "other bytes before or after"),
        ([("a.csv", b"x")], {"after": b"more"}, "other bytes before or after"),
        ([("a.csv", b"x" * 5000)], {"compress": zipfile.ZIP_DEFLATED}, "packed anew"),
        ([("a.csv", b"x")], {"sums": "\n" * 100_000}, "far longer than a list of 2 files"),
    ],
)
def test_a_bundle_that_could_be_read_in_two_ways_is_not_whole(tmp_path, entries, values, why):
    assert any(why in problem for problem in bundles.verify(packed(tmp_path / "b.zip", *entries, **values)))


def test_the_plain_one_beside_them_is_whole(tmp_path):
    assert bundles.verify(packed(tmp_path / "b.zip", ("a.csv", b"x"))) == []
