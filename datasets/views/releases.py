"""Releases and their exports."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, curator_required, reader_action, reader_required, user_of
from datasets.errors import MERError
from datasets.forms import BundleForm, ErratumForm, FaultForm
from datasets.models import FOLDS, Export, Fault, Release, ReleaseImport, Signal
from datasets.responses import attempt, bundle_response, posted
from datasets.services import arrivals, releases


@require_safe
@reader_required
def release_list(request: HttpRequest) -> HttpResponse:
    is_open = Q(items__faults__state=Fault.State.OPEN)
    rows = Release.objects.select_related("dataset", "frozen_by", "arrival").annotate(
        n_faults=Count("items__faults", filter=is_open, distinct=True)
    )
    return render(request, "datasets/release_list.html", {"releases": rows})


@require_safe
@reader_required
def release_page(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.select_related("dataset"), name=name)
    split = release.splits.order_by("id").first()
    before = selectors.release_before(release)
    ctx = {
        "release": release,
        "split": split,
        "folds": [(name, sorted(parts.values())) for name, parts in selectors.splits_of(release).items() if name.endswith(FOLDS)],
        "table": selectors.part_table(split) if split else None,
        "items": Paginator(release.items.all(), 50).get_page(request.GET.get("page")),
        "exports": release.exports.select_related("job"),
        "formats": Export.Format,
        "sources": selectors.sources_left(release),
        "before": before,
        "difference": selectors.difference(selectors.labels_of(before), selectors.labels_of(release)) if before else None,
        "errata": release.errata.select_related("by"),
        "faults": selectors.faults_of(release)[:100],
        "erratum_form": ErratumForm(),
        "fault_form": FaultForm(),
    }
    return render(request, "datasets/release.html", ctx)


@curator_required
def release_import(request: HttpRequest) -> HttpResponse:
    """Bring in what another studio froze; below, what came of the bundles so far."""
    form = BundleForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        bundle = form.cleaned_data["bundle"]
        try:
            arrivals.take(bundle, bundle.name, dataset=form.cleaned_data["dataset"], by=user_of(request))
            messages.success(request, _("The bundle is here and is being read."))
            return redirect("datasets:release_import")
        except MERError as fact:
            form.add_error(None, str(fact))
    ctx = {"form": form, "arrivals": ReleaseImport.objects.select_related("job", "release", "dataset", "created_by")[:20]}
    return render(request, "datasets/release_import.html", ctx)


@curator_action
def release_export(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release, name=name)
    format = request.POST.get("format", Export.Format.CSV)
    if format not in Export.Format.values:
        messages.error(
            request,
            _("“%(format)s” is no export format; choose one of %(list)s.")
            % {"format": format, "list": ", ".join(Export.Format.values)},
        )
    else:
        attempt(
            request, lambda: releases.request_export(release, format=format, by=user_of(request)), _("The bundle is being written.")
        )
    return redirect("datasets:release", name)


@curator_action
def erratum_add(request: HttpRequest, name: str) -> HttpResponse:
    release, form = get_object_or_404(Release, name=name), ErratumForm(request.POST)
    if form.is_valid():
        text = form.cleaned_data["text"]
        attempt(
            request, lambda: releases.add_erratum(release, text, by=user_of(request)), _("The erratum stands with the release.")
        )
    else:
        messages.error(request, _("Say what is wrong with the release."))
    return redirect(f"{reverse('datasets:release', args=[name])}#errata")


@reader_action
def fault_add(request: HttpRequest, name: str) -> HttpResponse:
    release, form = get_object_or_404(Release, name=name), FaultForm(request.POST)
    if form.is_valid():
        attempt(
            request,
            lambda: releases.report_fault(release, by=user_of(request), **form.cleaned_data),
            _("The report is in the queue."),
        )
    else:
        messages.error(request, _("Name a track of the release by its number, and say what is wrong with its label."))
    return redirect(f"{reverse('datasets:release', args=[name])}#faults")


@curator_action
def fault_answer(request: HttpRequest, pk: int) -> HttpResponse:
    fault = get_object_or_404(Fault.objects.select_related("item__release"), pk=pk)
    accepted, answer = request.POST.get("answer_is") == "accepted", posted(request, "answer")[:1000]
    attempt(
        request,
        lambda: releases.answer_fault(fault, accepted=accepted, answer=answer, by=user_of(request)),
        _("The report is answered."),
    )
    return redirect(f"{reverse('datasets:release', args=[fault.item.release.name])}#faults")


@require_safe
@reader_required
def export_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    export = get_object_or_404(Export.objects.select_related("release"), pk=pk)
    if not export.file:
        return HttpResponse(_("The bundle is not written yet."), status=404)
    return bundle_response(request, export)


@require_safe
@reader_required
def saliency(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Where a network looked in a track, to lie over its spectrogram."""
    signal = get_object_or_404(Signal, pk=pk)
    if not signal.picture:
        raise Http404(_("No picture was made."))
    return FileResponse(signal.picture.open("rb"), content_type="image/png")
