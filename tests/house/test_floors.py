"""Directions that the import linter cannot see: foreign keys, migrations, includes, string references."""

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parent.parent.parent
BELOW = {"datasets": set(), "annotate": {"datasets"}, "mer": {"datasets"}}
FOREIGN = {"auth", "contenttypes"}


@pytest.mark.parametrize("app", BELOW)
def test_foreign_keys_point_down(app):
    for model in apps.get_app_config(app).get_models():
        for field in model._meta.get_fields():
            if field.is_relation and field.concrete:
                assert field.related_model._meta.app_label in BELOW[app] | {app} | FOREIGN, field


@pytest.mark.parametrize("app", BELOW)
def test_migrations_depend_downward(app):
    loader = MigrationLoader(None, ignore_no_migrations=True)
    for (owner, _), migration in loader.disk_migrations.items():
        if owner == app:
            assert {label for label, _ in migration.dependencies} <= BELOW[app] | {app, "__setting__"} | FOREIGN


@pytest.mark.parametrize("app", BELOW)
def test_no_code_names_an_app_that_it_may_not_know(app):
    others = set(BELOW) - BELOW[app] - {app}
    for path in (ROOT / app).rglob("*.py"):
        text = re.sub(r'""".*?"""', "", path.read_text(), flags=re.S)
        for other in others:
            assert not re.search(rf'["\']{other}[.:/]', text), f"{path} names {other}"


def test_only_the_roof_includes_urls():
    for path in ROOT.glob("*/urls.py"):
        if path.parent.name != "config":
            assert "include(" not in path.read_text()


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
