"""What a run says of recordings that it has not seen."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from datasets.access import HtmxHttpRequest, curator_required, reader_required, user_of
from datasets.errors import MERError
from mer import plots, selectors
from mer.forms import PredictForm
from mer.models import Inference
from mer.services import inferences


@curator_required
def predict(request: HttpRequest, pk: int) -> HttpResponse:
    """Send recordings or choose a track; each is heard in the background."""
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    sent = request.method == "POST"
    form = PredictForm(request.POST if sent else None, request.FILES if sent else None, dataset=run.release.dataset)
    if sent and form.is_valid():
        asked: list[Inference] = []
        wanted = [(None, file) for file in form.cleaned_data["recordings"]]
        wanted += [(form.cleaned_data["track"], None)] if form.cleaned_data["track"] else []
        for track, file in wanted:
            try:
                asked.append(inferences.ask(run, track=track, file=file, filename=file.name if file else "", by=user_of(request)))
            except MERError as fact:
                messages.error(request, f"{file.name if file else track}: {fact}")
        if asked:
            return redirect(asked[0]) if len(asked) == 1 else redirect("mer:predict", pk)
    page = Paginator(run.inferences.select_related("track", "job"), 50).get_page(request.GET.get("page"))
    inferences.note_seen(page.object_list, by=user_of(request))
    return render(
        request,
        "mer/predict.html",
        {"run": run, "form": form, "page": page, "can": run.state == "done" and (run.network_file or run.members)},
    )


@require_safe
@reader_required
def inference(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """One recording: probabilities along the song, over its waveform."""
    asked = get_object_or_404(Inference.objects.select_related("run__release", "track", "job"), pk=pk)
    ctx = {"asked": asked, "run": asked.run, "job": asked.job, "plot": plots.along(asked) if asked.label else None}
    inferences.note_seen([asked], by=user_of(request))
    response = render(request, "mer/inference.html", ctx)
    if request.htmx and not (asked.job and asked.job.is_active):
        response["HX-Refresh"] = "true"
    return response
