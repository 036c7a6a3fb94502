"""Pages of long lists that cost the same wherever they are: each begins after the last row of the one before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import CharField, Model, Q, QuerySet

M = TypeVar("M", bound=Model)
LONGEST_PLACE = 1000


@dataclass(frozen=True)
class KeysetPage(Generic[M]):
    """next, previous : the place to hand back for the page after or before; empty where there is none."""

    rows: Sequence[M]
    next: str
    previous: str


def keyset_page(rows: QuerySet[M], *, order: str, size: int, after: str = "", before: str = "") -> KeysetPage[M]:
    """A page of `rows` by `order` (a field, with - for descending; ties by id, newest first where descending).

    A place that cannot be read gives the first page. Rows without a value in the field have no place and are left out.
    """
    field, falling = order.removeprefix("-"), order.startswith("-")
    place = _read(rows, field, before or after)
    backwards = bool(before) and place is not None
    down = falling is not backwards
    if rows.model._meta.get_field(field).null:
        rows = rows.exclude(**{field: None})
    rows = rows.order_by(*((f"-{field}", "-id") if down else (field, "id")))
    if place is not None:
        value, pk = place
        word = "lt" if down else "gt"
        # The first condition lets the database start in its index; the second is the exact one.
        rows = rows.filter(**{f"{field}__{word}e": value}).filter(
            Q(**{f"{field}__{word}": value}) | Q(**{field: value, f"id__{word}": pk})
        )
    found = list(rows[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    has_next, has_previous = (True, more) if backwards else (more, place is not None)
    return KeysetPage(
        found, _write(found[-1], field) if found and has_next else "", _write(found[0], field) if found and has_previous else ""
    )


def _write(row: Model, field: str) -> str:
    return json.dumps([getattr(row, field), row.pk], separators=(",", ":"))


def _read(rows: QuerySet[M], field: str, place: str) -> tuple[object, int] | None:
    if not place or len(place) > LONGEST_PLACE:
        return None
    try:
        value, pk = json.loads(place)
        str(value).encode()  # half a character has no bytes
    except (ValueError, TypeError, RecursionError):
        return None
    is_text = isinstance(rows.model._meta.get_field(field), CharField)
    fits = isinstance(value, str) and "\0" not in value if is_text else isinstance(value, int | float) and abs(value) < 2**63
    return (value, pk) if fits and isinstance(pk, int) and 0 <= pk < 2**63 else None
