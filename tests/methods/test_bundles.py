import hashlib
import warnings
import zipfile
from pathlib import Path

import pytest

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
