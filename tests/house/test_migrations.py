"""Migrations that a running studio can bear: the code of before goes on writing on the tables of after."""

import importlib
from pathlib import Path

import pytest
from django.db.migrations import AddField, AlterField, DeleteModel, RemoveField, RenameField, RenameModel
from django.db.models import NOT_PROVIDED

ROOT = Path(__file__).resolve().parent.parent.parent
BEFORE = {"datasets": "0022", "annotate": "0009", "mer": "0013"}  # from when on it is so


def later() -> list[tuple[str, object]]:
    found = []
    for app, last in BEFORE.items():
        for path in sorted((ROOT / app / "migrations").glob("0*.py")):
            if path.stem[:4] > last:
                migration = importlib.import_module(f"{app}.migrations.{path.stem}").Migration
                found += [(f"{app} {path.stem}", operation) for operation in migration.operations]
    return found


def test_a_new_column_that_must_be_filled_has_a_default_in_the_database():
    """Django's own default is not in the table: whoever does not know of the column cannot write a row any more."""
    added = [(name, one) for name, one in later() if isinstance(one, AddField)]
    assert added, "the test looks at nothing"
    for name, operation in added:
        field = operation.field
        assert field.null or field.many_to_many or field.db_default is not NOT_PROVIDED, f"{name}: {operation.name}"


def test_nothing_is_taken_away_under_the_feet_of_the_code_of_before():
    taken = [(name, one) for name, one in later() if isinstance(one, RemoveField | RenameField | RenameModel | DeleteModel)]
    assert taken == [], "leave it for a release, then take it away"
    narrowed = [(name, one) for name, one in later() if isinstance(one, AlterField) and not one.field.null and one.field.unique]
    assert narrowed == []


@pytest.mark.django_db
@pytest.mark.database
def test_the_triggers_of_the_audit_log_are_there_after_all_migrations():
    """On SQLite a table that is made anew by a later migration loses them."""
    from django.db import connection

    queries = {
        "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'datasets_event'",
        "postgresql": "SELECT count(*) + 1 FROM pg_trigger WHERE tgrelid = 'datasets_event'::regclass AND NOT tgisinternal",
    }
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        assert cursor.fetchone()[0] == 2
