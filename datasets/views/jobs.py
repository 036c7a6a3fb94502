"""Work under way, its cancelling and retrying, and the health of what fetches."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import HtmxHttpRequest, curator_action, reader_required, user_of
from datasets.models import Job
from datasets.responses import attempt, posted
from datasets.services import links, queue


@require_safe
@reader_required
def job_list(request: HttpRequest) -> HttpResponse:
    jobs = Job.objects.select_related("created_by").defer("log")
    state = request.GET.get("state", "")
    page = Paginator(jobs.filter(state=state) if state in Job.State.values else jobs, 50).get_page(request.GET.get("page"))
    return render(
        request,
        "datasets/job_list.html",
        {
            "page": page,
            "state": state,
            "states": Job.State,
            "moving": any(job.is_active for job in page),
            "pause": selectors.pause_of("fetch"),
        },
    )


@require_safe
@reader_required
def job_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The progress of one job, alone or within a page; it reloads itself while the job moves, and tells the page when it ends."""
    job = get_object_or_404(Job, pk=pk)
    response = render(request, "datasets/job_panel.html" if request.htmx else "datasets/job.html", {"job": job})
    if request.htmx and not job.is_active:
        response["HX-Refresh"] = "true"
    return response


@curator_action
def job_retry(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job, pk=pk)
    attempt(request, lambda: queue.retry(job, by=user_of(request)), _("“%(title)s” is queued again.") % {"title": job.title})
    return redirect(job.url or "datasets:job_list")


@curator_action
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job, pk=pk)
    attempt(request, lambda: queue.cancel(job, by=user_of(request)), _("“%(title)s” is being cancelled.") % {"title": job.title})
    return redirect(job.url or "datasets:job_list")


@require_safe
@reader_required
def ingest_health(request: HttpRequest) -> HttpResponse:
    """Whether tracks can come in: yt-dlp and its runtime, the queue, what went wrong lately."""
    return render(request, "datasets/ingest_health.html", {"health": selectors.ingest_health()})


@curator_action
def queue_pause(request: HttpRequest) -> HttpResponse:
    reason = posted(request, "reason").strip() or _("Paused by hand.")
    queue.pause("fetch", reason=reason, by=user_of(request))
    messages.success(request, _("Fetching is paused. What is being fetched now is finished first."))
    return redirect("datasets:ingest_health")


@curator_action
def queue_resume(request: HttpRequest) -> HttpResponse:
    queue.resume("fetch", by=user_of(request))
    messages.success(request, _("Fetching goes on."))
    return redirect("datasets:ingest_health")


@curator_action
def check_sources(request: HttpRequest) -> HttpResponse:
    n = links.queue_checks()
    text = ngettext("The sources of %(n)d dataset are being checked.", "The sources of %(n)d datasets are being checked.", n)
    messages.success(request, text % {"n": n} if n else _("Nothing to check: every source was asked after in the last month."))
    return redirect("datasets:ingest_health")
