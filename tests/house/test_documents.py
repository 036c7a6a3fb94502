"""Documents that cannot rot: every setting and command is described."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import get_commands, load_command_class
from django.urls import resolve

from annotate.models import Rater

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_setting_is_in_the_table_of_the_readme():
    settings = (ROOT / "config" / "settings.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', settings)) | {"DATABASE_URL", "AUDIO_CONCURRENCY"}
    table = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "README.md").read_text(), flags=re.M))
    assert names == table


def test_every_command_is_in_the_guide():
    guide = (ROOT / "docs" / "guide" / "commands.md").read_text()
    for path in ROOT.glob("*/management/commands/[a-z]*.py"):
        assert f"`{path.stem}" in guide, path.stem


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_every_default_in_the_table_of_the_readme_is_that_of_the_code():
    settings = (ROOT / "config" / "settings.py").read_text()
    code = dict(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)",\s*("[^"]*"|-?[\d.]+|True|False)', settings))
    table = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| ([^|]+) \|", (ROOT / "README.md").read_text(), flags=re.M))
    words = {"True": "true", "False": "false", '""': "empty"}
    wrong = {}
    for name, value in code.items():
        said = table[name].strip().strip("`")
        plain = words.get(value, value.strip('"'))
        # Where nothing is the default, the table says what that means.
        if said not in (plain, plain.removesuffix(".0")) and value != '""':
            wrong[name] = (said, plain)
    assert wrong == {}


@pytest.mark.django_db
def test_every_command_and_option_that_a_document_names_exists():
    wrong, n = [], 0
    for path in documents():
        for name, rest in re.findall(r"manage\.py (?!COMMAND)([a-z_]+)((?: [^\n`|#;)]*)?)", path.read_text()):
            if name not in get_commands():
                wrong.append(f"{path.name}: {name}")
                continue
            parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
            options = set(re.findall(r"(?<![\w-])--[a-z-]+", rest))
            wrong += [f"{path.name}: {name} {option}" for option in options if option not in parser._option_string_actions]
            n += 1
    assert wrong == [] and n > 20


def test_every_target_of_make_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {
        (path.name, name)
        for path in documents()
        for name in re.findall(r"(?:`|^    |\$ )(?:[A-Z_]+=\S+ )*make ([a-z-]+)", path.read_text(), flags=re.M)
    }
    assert {name for _path, name in named} <= targets, named
    assert len(named) > 3


KEPT = {  # what leads to a person: how it is told to him, or why it is not
    "annotate.Rater": "told", "annotate.Rating": "told", "annotate.Assignment": "told", "annotate.Participation": "told", "datasets.ApiToken": "told",
    "datasets.Event": "told: who did what; the name goes with the account",
}  # fmt: skip
WORK = "what curators and admins did: their accounts are no raters', and the name goes with the account"


def test_every_row_that_leads_to_a_rater_is_told_to_him_or_is_work_of_a_curator():
    """A new table with a person in it makes somebody think: of `personal_data`, of `erase`, and of docs/guide/privacy.md."""
    of_raters = {
        f"{model._meta.app_label}.{model.__name__}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if getattr(field, "many_to_one", False) or getattr(field, "one_to_one", False)
        if field.concrete and field.related_model is Rater
    }
    assert of_raters <= set(KEPT), WORK
    of_accounts = {
        (f"{model._meta.app_label}.{model.__name__}", field.name)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if field.related_model is User and model._meta.app_label in ("datasets", "annotate", "mer")
    }
    told = {pair for pair in of_accounts if pair[0] in KEPT}
    by_curators = {"created_by", "by", "frozen_by", "user"}
    assert {name for _model, name in of_accounts - told} <= by_curators, of_accounts - told


def test_every_line_of_the_guide_to_the_api_names_an_address_that_is_there():
    text = (ROOT / "docs" / "guide" / "api.md").read_text()
    named = {re.sub(r"/(\d+|6f1c…|songs-v1)(?=/)", "/1", path) for path in re.findall(r"8000(/api/v1/[^\s\"?]*)", text)}
    for path in named:
        resolve(path.replace("/assignments/1/", "/assignments/6f1c2b0e-0000-4000-8000-000000000001/"))
    assert len(named) > 12


def test_every_link_between_documents_leads_somewhere():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path} -> {target}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("JOB_RETENTION_DAYS", "-5"), ("TIME_ZONE", "Mars/Olympus"), ("REDIS_URL", "http://x"), ("SECRET_KEY", "short"),
     ("WEB_CONCURRENCY", "0"), ("FETCH_PROXY", "socks5://x"), ("PROXY_COUNT", "-1"), ("DATA_DIR", ""), ("DATA_DIR", "/proc/nowhere"), ("JOB_RETENTION_DAYS", "800000"), ("REDIS_URL", "redis://h:x"), ("REDIS_URL", "redis://[::1"),
     ("REDIS_URL", "redis://h/zero"), ("ALLOWED_HOSTS", "https://x"), ("S3_ENDPOINT_URL", "nonsense"), ("HOST", ""), ("DATABASE_URL", "postgres://"),
     ("FETCH_HOSTS", "http://x/")],
)  # fmt: skip
def test_a_setting_that_cannot_be_stops_the_start_with_its_name(name, value, tmp_path):
    line = [sys.executable, "manage.py", "check"]
    values = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": str(tmp_path), name: value}
    done = subprocess.run(line, cwd=ROOT, env=values, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and name in done.stderr and "Traceback" not in done.stderr


def test_every_picture_of_a_document_is_in_the_site(tmp_path):
    line = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    named = {
        (path.parent / address).resolve().relative_to(ROOT / "docs")
        for path in (ROOT / "docs").rglob("*.md")
        for address in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", path.read_text())
    }
    assert named and all((tmp_path / name).is_file() for name in named), named
