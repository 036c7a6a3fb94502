"""Lists of tracks: pasted or uploaded, looked at, confirmed, followed."""

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, curator_required, reader_required, user_of
from datasets.errors import MERError
from datasets.forms import ImportForm
from datasets.methods import lists
from datasets.models import Import
from datasets.responses import attempt
from datasets.services import imports, tracks


@curator_required
def import_add(request: HttpRequest) -> HttpResponse:
    form = ImportForm(request.POST or None, request.FILES or None, initial={"dataset": tracks.default_dataset()})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        upload = data["table"]
        try:
            content = upload.read() if upload else b""
            lines = lists.read_table(content, upload.name) if upload else lists.read_lines(data["addresses"])
            if upload and not upload.name.lower().endswith(".xlsx") and not lists.is_utf8(content):
                messages.warning(
                    request, _("The list is not UTF-8 and was read as Windows-1252: look whether the titles are right.")
                )
            if unused := lists.unused_columns(content, upload.name) if upload else []:
                messages.warning(request, _("Nothing is taken from the columns: %(columns)s.") % {"columns": ", ".join(unused)})
            pasted = ngettext("%(n)d pasted address", "%(n)d pasted addresses", len(lines)) % {"n": len(lines)}
            name = upload.name if upload else pasted
            common = {key: data[key] for key in ("dataset", "artist", "licence")}
            return redirect(imports.create_import(name=name, lines=lines, by=user_of(request), **common))
        except MERError as fact:
            form.add_error(None, str(fact))
    ctx = {"form": form, "datasets": selectors.datasets(), "imports": selectors.imports()[:20], "most": settings.PLAYLIST_MAX}
    return render(request, "datasets/import_add.html", ctx)


@require_safe
@reader_required
def import_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Before it is confirmed, what would come in and what not; afterwards, what came of every row."""
    owner = get_object_or_404(Import.objects.select_related("dataset", "created_by"), pk=pk)
    outcome = request.GET.get("outcome", "")
    counts = selectors.import_counts(owner)
    ctx = {
        "import": owner,
        "job": selectors.jobs_of("import", owner.pk).first(),
        "counts": counts,
        "outcome": outcome,
        "page": Paginator(selectors.import_rows(owner, outcome), 100).get_page(request.GET.get("page")),
        "unread": imports.rows_to_read_again(owner).count(),
        "moving": owner.state in (Import.State.READING, Import.State.RUNNING) or counts["coming"] > 0,
        "pause": selectors.pause_of("fetch"),
        "unlicensed": imports.rows_to_bring_in(owner).filter(licence="").count() if owner.dataset.licence_required else 0,
    }
    return render(request, "datasets/import.html", ctx)


@curator_action
def import_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    owner = get_object_or_404(Import.objects.select_related("dataset"), pk=pk)
    attempt(
        request, lambda: imports.confirm(owner, by=user_of(request)), _("They are coming in; this page shows how far they are.")
    )
    return redirect(owner)


@curator_action
def import_discard(request: HttpRequest, pk: int) -> HttpResponse:
    owner = get_object_or_404(Import, pk=pk)
    try:
        imports.discard(owner, by=user_of(request))
    except MERError as fact:
        messages.error(request, str(fact))
        return redirect(owner)
    messages.success(request, _("The list is thrown away; nothing of it came in."))
    return redirect("datasets:import_add")


@curator_action
def import_retry(request: HttpRequest, pk: int) -> HttpResponse:
    owner = get_object_or_404(Import, pk=pk)
    n = imports.retry_failed(owner, by=user_of(request))
    text = ngettext("%(n)d track is tried again.", "%(n)d tracks are tried again.", n)
    messages.success(request, text % {"n": n})
    return redirect(owner)


@curator_action
def import_read_again(request: HttpRequest, pk: int) -> HttpResponse:
    owner = get_object_or_404(Import, pk=pk)
    attempt(request, lambda: imports.read_again(owner, by=user_of(request)), _("The playlists are being read again."))
    return redirect(owner)
