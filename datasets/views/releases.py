"""Releases and their exports."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, curator_required, user_of
from datasets.models import Export, Release
from datasets.responses import attempt
from datasets.services import releases


@require_safe
@curator_required
def release_list(request: HttpRequest) -> HttpResponse:
    rows = Release.objects.select_related("dataset", "frozen_by")
    return render(request, "datasets/release_list.html", {"releases": rows})


@require_safe
@curator_required
def release_page(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.select_related("dataset"), name=name)
    split = release.splits.order_by("id").first()
    ctx = {
        "release": release,
        "split": split,
        "table": selectors.part_table(split) if split else None,
        "items": Paginator(release.items.all(), 50).get_page(request.GET.get("page")),
        "exports": release.exports.select_related("job"),
        "formats": Export.Format,
        "sources": selectors.sources_left(release),
    }
    return render(request, "datasets/release.html", ctx)


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


@require_safe
@curator_required
def export_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    export = get_object_or_404(Export.objects.select_related("release"), pk=pk)
    if not export.file:
        return HttpResponse(_("The bundle is not written yet."), status=404)
    return FileResponse(export.file.open("rb"), as_attachment=True, filename=f"{export.release.name}-{export.format}.zip")
