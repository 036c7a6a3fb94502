"""Where raters agree, in figures that can be downloaded with their data."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import translation
from django.views.decorators.http import require_safe

from annotate import breakdown as figures
from annotate.models import Questionnaire
from datasets.access import reader_required
from datasets.methods.bundles import csv_table
from datasets.selectors import label_colours


@require_safe
@reader_required
def breakdown(request: HttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    found = figures.figures(questionnaire)
    return render(request, "annotate/breakdown.html", {"questionnaire": questionnaire, "figures": found})


@require_safe
@reader_required
def breakdown_data(request: HttpRequest, pk: int, name: str, format: str) -> HttpResponse:
    """One figure: the table behind it, or its picture."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    with translation.override("en" if format == "csv" else translation.get_language()):  # a table has the same words for everyone
        figure = next(iter(figures.figures(questionnaire, only=name)), None)
    if figure is None or format not in ("csv", "svg"):
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="agreement-{figure.name}.{format}"'}
    if format == "csv":
        rows = (dict(zip(figure.columns, row, strict=True)) for row in figure.rows)
        return HttpResponse(csv_table(figure.columns, rows), content_type="text/csv; charset=utf-8", headers=headers)
    picture = render(request, f"annotate/figures/{figure.name}.svg", {"figure": figure, "alone": True, "colours": label_colours()})
    return HttpResponse(picture.content, content_type="image/svg+xml", headers=headers)
