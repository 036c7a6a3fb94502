"""Rows of hand-written SQL as instances of models, alike on every database.

Only for statements that run with every rating: there the ORM takes longer to put them together than the database to run them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, overload
from uuid import UUID

from django.db import connection
from django.db.models import Field, Model

M = TypeVar("M", bound=Model)


def loaded(model: type[M], **values: Any) -> M:
    """An instance as `only()` gives it: a field that is not among the values is fetched when it is asked for."""
    fields = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    return model.from_db("default", fields, [values[name] for name in fields])


@cache
def _columns(model: type[Model]) -> list[Field[Any, Any]]:
    return [field for field in model._meta.local_concrete_fields if not (field.primary_key or field.generated)]


def insert(row: Model, *, only_if: str = "", values: Sequence[Any] = ()) -> bool:
    """`row.save(force_insert=True)` in one plain statement; with a condition, False when that does not hold in the database."""
    fields = _columns(type(row))
    marks = ", ".join(["%s"] * len(fields))
    names = ", ".join(f'"{field.column}"' for field in fields)
    source = f"SELECT {marks} WHERE {only_if}" if only_if else f"VALUES ({marks})"
    sql = f'INSERT INTO "{row._meta.db_table}" ({names}) {source} RETURNING id'
    stored = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*stored, *values])
        made = cursor.fetchone()
    if made:
        row.pk = made[0]
        row._state.adding, row._state.db = False, "default"
    return bool(made)


def as_moment(value: datetime | None) -> datetime | None:
    """SQLite holds moments without their zone, which is UTC."""
    return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


@overload
def as_uuid(value: UUID | str) -> UUID: ...
@overload
def as_uuid(value: None) -> None: ...
def as_uuid(value: UUID | str | None) -> UUID | None:
    return UUID(value) if isinstance(value, str) else value
