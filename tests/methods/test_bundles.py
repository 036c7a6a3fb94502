import zipfile

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
