"""Runs: the list, one run, and what can be done with it."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets.access import HtmxHttpRequest, curator_action, reader_required, user_of
from datasets.errors import MERError
from datasets.methods.bundles import csv_table
from datasets.models import Release
from datasets.responses import attempt, posted
from datasets.selectors import events_of, parts_without
from datasets.services.signals import OPENED, note_sight
from mer import comparing, plots, selectors
from mer.forms import translated
from mer.methods.params import INPUTS, NETWORKS, RECIPES, names_of
from mer.models import Run
from mer.services import promotions, runs

PER_PAGE = 50
FILTERS = ("network", "input", "recipe", "folds", "state", "sort")


@require_safe
@reader_required
def run_list(request: HttpRequest) -> HttpResponse:
    """The runs of a release, to be looked through, compared and chosen from; without a release named, the newest that has some."""
    releases = list(Release.objects.filter(runs__isnull=False).distinct()[:100])
    asked = request.GET.get("release", "")
    release = next((one for one in releases if one.name == asked), releases[0] if releases and asked != "all" else None)
    filters = {name: request.GET.get(name, "") for name in FILTERS}
    found = selectors.runs_to_show(release, filters)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    rows = comparing.figures_of(list(page))
    ctx = {
        "page": page, "releases": releases, "release": release, "filters": filters, "networks": translated(NETWORKS),
        "inputs": translated(names_of(INPUTS)), "recipes": translated(names_of(RECIPES)), "states": selectors.STATES, "sorts": selectors.SORTS.items(),
        "promoted": selectors.promoted(release.dataset) if release else None,
        "plots": plots.both_whiskers(rows, human=comparing.one_rater(release, comparing.tested_by_all(rows))) if release and rows else [],
        "newest": Release.objects.first(), "is_filtered": any(filters.values()),
    }  # fmt: skip
    runs.note_opened(page, by=user_of(request))
    return render(request, "mer/run_list.html", ctx)


@require_safe
@reader_required
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    labels = list(run.release.labels)
    test = selectors.evaluation(run, "test")
    cell = {name: request.GET.get(name, "") for name in ("truth", "said")}
    cell = {name: value if value in labels else "" for name, value in cell.items()}
    if test:
        note_sight(run.release, user_of(request))
    runs.note_opened([run], by=user_of(request))
    tracks = selectors.test_tracks(run, **cell)
    ctx = _run_ctx(run) | {
        "tables": [(row, plots.confusion(row, labels)) for row in run.evaluations.all()],
        "figures": plots.figure_rows(test, labels) if test else [],
        "reliability": plots.reliability(test) if test else [],
        "test": test,
        "refusals": run.refusals.select_related("track")[:200],
        "one_rater": comparing.one_rater(run.release, [row.track_id for row in selectors.tested(run)]) if test else None,
        "cell": cell,
        "tracks": Paginator(tracks, PER_PAGE).get_page(request.GET.get("page")),
        "promoted": selectors.promoted(run.release.dataset),
        "promotions": selectors.promotions_of(run.release.dataset)[:20],
        "newest": selectors.newest_release(run),
        "opened": events_of("run", run.pk).filter(to_state=OPENED).select_related("actor").order_by("pk"),
        "made_with": selectors.params_that_count(run),
        "parts_without": parts_without(run.split),
        "torn": comparing.torn([run]),
    }
    return render(request, "mer/run.html", ctx)


@require_safe
@reader_required
def run_live(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Progress and curves of a run; it reloads itself while the run trains, then the whole page."""
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    response = render(request, "mer/run_live.html", _run_ctx(run) | {"refreshed": True})
    if request.htmx and not (run.job and run.job.is_active):
        response["HX-Refresh"] = "true"
    return response


def _run_ctx(run: Run) -> dict[str, object]:
    epochs = list(run.epochs.all())
    folds = run.folds.select_related("job")
    return {"run": run, "job": run.job, "folds": folds, "epochs": epochs, "curves": plots.learning_curves(epochs)}


@require_safe
@reader_required
def network_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    run = get_object_or_404(Run, pk=pk)
    if not run.network_file:
        raise Http404(_("The run has no network file."))
    try:
        file = run.network_file.open("rb")
    except FileNotFoundError:
        raise Http404(_("The network file is gone: train the run again.")) from None
    return FileResponse(
        file,
        as_attachment=True,
        filename=f"run-{run.pk}-{run.network}.{str(run.network_file.name).rpartition('.')[2]}",
    )


@require_safe
@reader_required
def prediction_table(request: HttpRequest, pk: int) -> HttpResponse:
    """What the run answered for every track that it did not learn from, as CSV."""
    run = get_object_or_404(Run.objects.select_related("release"), pk=pk)
    note_sight(run.release, user_of(request))
    runs.note_opened([run], by=user_of(request))
    labels = list(run.release.labels)
    columns = ["track", "title", "part", "label", "predicted", *labels]
    rows = (
        {"track": row.track_id, "title": row.track.title, "part": row.part, "label": row.truth, "predicted": row.predicted}
        | row.probabilities
        for row in run.predictions.select_related("track")
    )
    headers = {"Content-Disposition": f'attachment; filename="run-{run.pk}-predictions.csv"'}
    return HttpResponse(csv_table(columns, rows), content_type="text/csv; charset=utf-8", headers=headers)


@curator_action
def run_again(request: HttpRequest, pk: int) -> HttpResponse:
    """The same run once more, or the same on the newest release."""
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    release = selectors.newest_release(run) if request.POST.get("on") == "newest" else None
    try:
        made = promotions.train_again(run, release=release, by=user_of(request))
    except MERError as fact:
        messages.error(request, str(fact))
        return redirect(run)
    messages.success(request, _("The run is queued; it goes on when you close this page."))
    return redirect(made)


@curator_action
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    by, reason = user_of(request), posted(request, "reason")
    if request.POST.get("down"):
        attempt(request, lambda: promotions.step_down(run, by=by, reason=reason), _("It is not promoted any more."))
    else:
        attempt(request, lambda: promotions.promote(run, by=by, reason=reason), _("The dataset goes by this run now."))
    return redirect(run)


@curator_action
def notes(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(Run, pk=pk)
    text, was = posted(request, "notes"), posted(request, "was")
    attempt(request, lambda: promotions.write_notes(run, text, was=was, by=user_of(request)), _("The notes are kept."))
    return redirect(run)
