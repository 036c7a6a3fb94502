from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets.access import HtmxHttpRequest, curator_required, panel_base, user_of
from datasets.errors import MERError
from datasets.models import Release, Track
from datasets.responses import attempt
from mer import plots, replay, selectors, services
from mer.forms import TrainForm
from mer.methods.params import PAPER_TEST_ACCURACY, SpectrogramParams, TrainingParams
from mer.models import Run, Spectrogram


@require_safe
@curator_required
def run_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(selectors.runs_of(), 50).get_page(request.GET.get("page"))
    return render(request, "mer/run_list.html", {"page": page, "releases": Release.objects.all()[:20]})


@require_safe
@curator_required
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    test = selectors.evaluation(run, "test")
    ctx = _run_ctx(run) | {
        "tables": [(row, plots.confusion(row, list(run.release.labels))) for row in run.evaluations.all()],
        "figures": plots.figure_rows(test, list(run.release.labels)) if test else [],
        "reliability": plots.reliability(test) if test else [],
        "test": test,
        "wrong": run.predictions.filter(part="test").select_related("track"),
    }
    return render(request, "mer/run.html", ctx)


@require_safe
@curator_required
def run_live(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """Progress and curves of a run; it reloads itself while the run trains, then the whole page."""
    run = get_object_or_404(selectors.runs_of(), pk=pk)
    response = render(request, "mer/run_live.html", _run_ctx(run))
    if request.htmx and not (run.job and run.job.is_active):
        response["HX-Refresh"] = "true"
    return response


def _run_ctx(run: Run) -> dict[str, object]:
    epochs = list(run.epochs.all())
    return {"run": run, "job": run.job, "epochs": epochs, "curves": plots.learning_curves(epochs)}


@require_safe
@curator_required
def compare(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.select_related("dataset"), name=name)
    comparison = selectors.compare(release)
    ctx = {
        "release": release,
        "comparison": comparison,
        "whiskers": plots.whiskers(comparison.rows, human=comparison.one_rater),
        "tables": [(row, plots.confusion(row.test, comparison.labels)) for row in comparison.rows if row.test],
        "paper": PAPER_TEST_ACCURACY,
    }
    return render(request, "mer/compare.html", ctx)


@curator_required
def paper(request: HttpRequest, name: str) -> HttpResponse:
    """The paper's study on a release; posting queues the runs that are missing."""
    release = get_object_or_404(Release.objects.select_related("dataset"), name=name)
    default = TrainingParams()
    steps = replay.steps(release, epochs=default.epochs, seed=default.seed)
    missing = [step for step in steps if step.run is None or step.run.state in ("failed", "cancelled")]
    if request.method == "POST":
        for step in missing:
            attempt(
                request,
                lambda step=step: services.create_run(  # type: ignore[misc]
                    release=release, training=step.training, spectrograms=step.spectrograms, by=user_of(request)
                ),
                _("Queued: %(title)s") % {"title": step.title},
            )
        return redirect("mer:paper", name)
    if request.GET.get("as") == "markdown":
        return HttpResponse(replay.markdown(release, steps), content_type="text/plain; charset=utf-8")
    return render(request, "mer/paper.html", {"release": release, "steps": steps, "missing": len(missing)})


@curator_required
def train(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.select_related("dataset"), name=name)
    form = TrainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            run = services.create_run(
                release=release,
                training=TrainingParams.of(
                    data["network"], epochs=data["epochs"], seed=data["seed"], vote_shares=data["vote_shares"]
                ),
                spectrograms=SpectrogramParams(input=data["input"], recipe=data["recipe"]),
                folds=data["folds"],
                by=user_of(request),
            )
        except MERError as fact:
            form.add_error(None, str(fact))
        else:
            messages.success(request, _("The run is queued; it goes on when you close this page."))
            return redirect(run)
    return render(request, "mer/train.html", {"release": release, "form": form, "n": release.items.count()})


@require_safe
@curator_required
def release_panel(request: HtmxHttpRequest, name: str) -> HttpResponse:
    """The runs of a release, for its page."""
    release = get_object_or_404(Release, name=name)
    return render(
        request, "mer/release_panel.html", {"release": release, "runs": selectors.runs_of(release), "base": panel_base(request)}
    )


@require_safe
@curator_required
def track_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The spectrograms of a track, for its page."""
    track = get_object_or_404(Track, pk=pk)
    ctx = {
        "track": track,
        "spectrograms": selectors.spectrograms_of(track),
        "params": SpectrogramParams(),
        "axes": plots.spectrogram_axes(SpectrogramParams()),
        "base": panel_base(request),
    }
    return render(request, "mer/track_panel.html", ctx)


@require_safe
@curator_required
def spectrogram_image(request: HttpRequest, pk: int) -> HttpResponseBase:
    spectrogram = get_object_or_404(Spectrogram, pk=pk)
    if not spectrogram.image:
        raise Http404(spectrogram.reason)
    return FileResponse(spectrogram.image.open("rb"), content_type="image/png")


NO_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


@require_safe
@curator_required
def track_spectrogram(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture of a track in the default recipe, for lists; an empty one while there is none."""
    picture = selectors.spectrograms_of(get_object_or_404(Track, pk=pk)).exclude(image="").first()
    if picture is None:
        return HttpResponse(NO_PICTURE, content_type="image/svg+xml", headers={"Cache-Control": "no-store"})
    response = FileResponse(picture.image.open("rb"), content_type="image/png")
    response["Cache-Control"] = "private, max-age=3600"
    return response


@require_safe
@curator_required
def network_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    run = get_object_or_404(Run, pk=pk)
    if not run.network_file:
        raise Http404("The run has no network file.")
    return FileResponse(
        run.network_file.open("rb"),
        as_attachment=True,
        filename=f"run-{run.pk}-{run.network}.{str(run.network_file.name).rpartition('.')[2]}",
    )
