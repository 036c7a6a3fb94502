"""Bringing in ratings that were collected elsewhere: a table, a look at what it would do, and then doing it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import ngettext

from annotate import ratings_table
from annotate.forms import RatingsTableForm
from annotate.methods import imports
from annotate.models import Questionnaire
from annotate.services import ratings
from datasets.access import HtmxHttpRequest, curator_required
from datasets.errors import MERError
from datasets.methods import lists

SHOWN = 100


@curator_required
def ratings_import(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Every post shows what the table would do; one with the button of the preview does it."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    form = RatingsTableForm(request.POST or None, request.FILES or None)
    ctx: dict[str, Any] = {"questionnaire": questionnaire, "form": form}
    if request.method == "POST" and form.is_valid():
        try:
            columns, checked = _check(questionnaire, form.cleaned_data)
            if request.POST.get("action") == "import" and (not checked.problems or form.cleaned_data["leave_out"]) and checked.rows:
                n = ratings.import_ratings(questionnaire, checked.rows)
                messages.success(request, ngettext("%(n)d rating came in.", "%(n)d ratings came in.", n) % {"n": n})
                if checked.problems:
                    left = len(checked.problems)
                    messages.warning(request, ngettext("%(n)d row was left out.", "%(n)d rows were left out.", left) % {"n": left})
                return redirect("annotate:agreement", pk)
            ctx |= {
                "checked": checked,
                "columns": columns,
                "raters": len({row.rater for row in checked.rows}),
                "tracks": len({row.track_id for row in checked.rows}),
                "problems": checked.problems[:SHOWN],
                "more": max(0, len(checked.problems) - SHOWN),
            }
        except MERError as fact:
            form.add_error(None, str(fact))
    return render(request, "annotate/ratings_preview.html" if request.htmx else "annotate/ratings_import.html", ctx)


def _check(questionnaire: Questionnaire, data: dict[str, Any]) -> tuple[dict[str, str], ratings_table.Checked]:
    cells = lists.read_cells(data["table"].read(), data["table"].name)
    guessed = imports.suggest([name.strip() for name in cells[0][1]])
    columns = guessed | {field: data[field].strip() for field in imports.FIELDS if data.get(field, "").strip()}
    found = imports.as_ratings(cells, columns, a_row_a_rater=data["layout"] == "rater")
    return columns, ratings_table.check(questionnaire.dataset, found, of_two=data["of_two"])
