"""Runs of one release: trained, compared, and the paper's study replayed on it."""

from __future__ import annotations

from collections import Counter

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from datasets.access import HtmxHttpRequest, curator_action, curator_required, panel_base, reader_required, user_of
from datasets.errors import MERError
from datasets.methods.bundles import csv_table
from datasets.models import Release
from datasets.responses import attempt
from datasets.selectors import can_curate, parts_without, release_before
from datasets.services.signals import note_sight
from mer import comparing, plots, replay, selectors
from mer.forms import DEFAULT, TrainForm
from mer.methods.params import CHOICES, NETWORKS, PAPER_RIGHT, PAPER_TESTED, SpectrogramParams, TrainingParams
from mer.models import LearningCurve
from mer.services import curves, runs

MOST_COMPARED = 6
PER_PAGE = 50


def _release(name: str) -> Release:
    return get_object_or_404(Release.objects.select_related("dataset"), name=name)


def _chosen(request: HttpRequest) -> list[int]:
    """The runs that the address names, as far as there may be such."""
    found = [int(value) for value in request.GET.getlist("run") if value.isdecimal() and len(value) < 19]
    return sorted(set(found))


@require_safe
@reader_required
def compare(request: HttpRequest, name: str) -> HttpResponse:
    """All runs of a release, or two to six that are chosen: then track by track, too."""
    release, chosen = _release(name), _chosen(request)
    if chosen and not 2 <= len(chosen) <= MOST_COMPARED:
        messages.warning(request, _("Choose two to %(n)d runs to compare them track by track.") % {"n": MOST_COMPARED})
        chosen = []
    done = set(release.runs.filter(pk__in=chosen, job__state="done").values_list("pk", flat=True))
    if unknown := [pk for pk in chosen if pk not in done]:
        messages.warning(
            request,
            _("%(name)s has no finished run %(list)s.") % {"name": release.name, "list": ", ".join(f"#{pk}" for pk in unknown)},
        )
        chosen = [pk for pk in chosen if pk in done]
        chosen = chosen if len(chosen) > 1 else []
    comparison = comparing.compare(release, chosen)
    compared = [row.run for row in comparison.rows]
    rows = selectors.grid(release, compared) if chosen else []
    show = request.GET.get("show", "")
    if show == "differ":
        rows = [row for row in rows if row.differ]
    elif show == "wrong":
        rows = [row for row in rows if row.all_wrong]
    if chosen:
        note_sight(release, user_of(request))
    runs.note_opened(compared, by=user_of(request))
    ctx = {
        "release": release,
        "comparison": comparison,
        "plots": plots.both_whiskers(comparison.rows, human=comparison.one_rater),
        "tables": [(row, plots.confusion(row.test, comparison.labels)) for row in comparison.rows if row.test],
        "paper": {network: right / PAPER_TESTED for network, right in PAPER_RIGHT.items()},
        "chosen": chosen,
        "runs": compared,
        "n_apart": sum(verdict.tells_apart for verdict in comparison.verdicts),
        "n_queued": sum(run.state == "queued" for run in comparison.running),
        "page": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "show": show,
        "agreement": selectors.agreement_of_runs(rows) if chosen and not show else None,
        "query": "&".join(f"run={pk}" for pk in chosen),
    }
    return render(request, "mer/compare.html", ctx)


@require_safe
@reader_required
def compare_data(request: HttpRequest, name: str, format: str) -> HttpResponse:
    """What the compare page shows, track by track as CSV, or its plot as a picture."""
    release, chosen = _release(name), _chosen(request)
    if format not in ("csv", "svg"):
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{release.name}-compare.{format}"'}
    with translation.override("en"):  # a table has the same words for everyone
        comparison = comparing.compare(release, chosen)
        runs.note_opened([row.run for row in comparison.rows], by=user_of(request))
        if format == "svg":
            title = f"{release.name}, {len(comparison.rows)} runs"
            ctx = plots.stacked(plots.both_whiskers(comparison.rows, human=comparison.one_rater)) | {"title": title}
            picture = render(request, "mer/compare.svg", ctx)
            return HttpResponse(picture.content, content_type="image/svg+xml", headers=headers)
        note_sight(release, user_of(request))
        found = [row.run for row in comparison.rows]
        columns = ["track", "title", "label", *(f"votes_{label}" for label in release.labels)]
        columns += [f"run_{run.pk}_{what}" for run in found for what in ("predicted", *release.labels)]
        rows = []
        for row in selectors.grid(release, found):
            cells: list[object] = [row.item.track_id, row.item.title, row.item.label, *(n for _label, n in row.votes)]
            for predicted, probabilities in row.answers:
                cells += [predicted, *(p for _label, p in probabilities)]
            rows.append(dict(zip(columns, cells, strict=True)))
    return HttpResponse(csv_table(columns, rows), content_type="text/csv; charset=utf-8", headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
@reader_required
def paper(request: HttpRequest, name: str) -> HttpResponse:
    """The paper's study on a release; posting queues the runs that are missing."""
    if request.method == "POST" and not can_curate(request.user):
        raise PermissionDenied
    release = _release(name)
    default = TrainingParams()
    ablations, folds = "ablations" in request.GET, "folds" in request.GET
    recipe = "robust" if request.GET.get("recipe") == "robust" else "paper"
    steps = replay.steps(release, epochs=default.epochs, seed=default.seed, ablations=ablations, folds=folds, recipe=recipe)
    runs.note_opened([step.run for step in steps if step.run], by=user_of(request))
    missing = [step for step in steps if step.is_missing]
    if request.method == "POST":
        for step in missing:
            attempt(
                request,
                lambda step=step: runs.create_run(  # type: ignore[misc]
                    release=release, training=step.training, spectrograms=step.spectrograms, folds=folds, by=user_of(request)
                ),
                _("Queued: %(title)s") % {"title": step.title},
            )
        return redirect(request.get_full_path())
    if request.GET.get("as") == "markdown":
        return HttpResponse(replay.markdown(release, steps), content_type="text/plain; charset=utf-8")
    ctx = {
        "release": release,
        "steps": steps,
        "missing": len(missing),
        "ablations": ablations,
        "folds": folds,
        "recipe": recipe,
        "torn": replay.torn(steps),
        "said": [*(verdict.said for verdict in replay.verdicts(steps)), *([sentence] for sentence in replay.controls(steps))],
        "one_rater": comparing.one_rater(release, replay.tested_tracks(steps)),
        "training": default,
    }
    return render(request, "mer/paper.html", ctx)


@curator_required
def train(request: HttpRequest, name: str) -> HttpResponse:
    release = _release(name)
    initial = request.GET.dict() | {"members": request.GET.getlist("members")}
    form = TrainForm(request.POST or None, initial=initial, release=release)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = runs.create_runs(
                n_draws=data["repeats"] or 1,
                n_seeds=data["seeds"] or 1,
                release=release,
                training=TrainingParams.of(data["network"], **{name: data[name] for name in CHOICES if data[name] != ""}),
                spectrograms=SpectrogramParams(input=data["input"], recipe=data["recipe"]),
                folds=data["folds"],
                members=data["members"],
                by=user_of(request),
            )
        except MERError as fact:
            form.add_error(None, str(fact))
        else:
            if len(made) == 1:
                messages.success(request, _("The run is queued; it goes on when you close this page."))
                return redirect(made[0])
            messages.success(request, _("%(n)d runs are queued; they go on when you close this page.") % {"n": len(made)})
            return redirect(f"{reverse('mer:run_list')}?release={release.name}")
    estimates = [
        (_(words), *(selectors.seconds_of(release, network, folds=folds, epochs=DEFAULT.epochs) for folds in (False, True)))
        for network, words in NETWORKS.items()
    ]
    hold_out = release.splits.order_by("id").first()
    ctx = {"parts_without": parts_without(hold_out) if hold_out else []} | {
        "release": release,
        "form": form,
        "n": release.items.count(),
        "estimates": estimates,
        "left_out": selectors.left_out_by_input(release),
        "epochs": DEFAULT.epochs,
    }
    return render(request, "mer/train.html", ctx)


@require_safe
@reader_required
def release_panel(request: HtmxHttpRequest, name: str) -> HttpResponse:
    """The runs of a release, for its page."""
    release = get_object_or_404(Release, name=name)
    found = list(selectors.runs_to_show(release, {}))
    runs.note_opened(found, by=user_of(request))
    return render(request, "mer/release_panel.html", {"release": release, "runs": found, "base": panel_base(request)})


@require_safe
@reader_required
def round_panel(request: HtmxHttpRequest, name: str) -> HttpResponse:
    """What the runs of this release and of the one before score on the same test tracks, under the labels of both."""
    release = _release(name)
    before = release_before(release)
    figures = selectors.round_figures(before, release) if before else None
    runs.note_opened([row.run for row in figures.rows] if figures else [], by=user_of(request))
    ctx = {"release": release, "before": before, "figures": figures, "base": panel_base(request)}
    return render(request, "mer/round_panel.html", ctx)


@require_safe
@reader_required
def learning_curve(request: HttpRequest, name: str) -> HttpResponse:
    """How accuracy grows with the number of labels, in two orders of rating."""
    release = _release(name)
    curve = LearningCurve.objects.filter(release=release).select_related("job").first()
    often = Counter(release.items.values_list("label", flat=True))
    ctx = {
        "release": release,
        "curve": curve,
        "plot": plots.curve_of_sizes(curve) if curve and curve.points else None,
        "majority": max(often.values(), default=0) / max(1, often.total()),
    }
    return render(request, "mer/learning_curve.html", ctx)


@curator_action
def learning_curve_draw(request: HttpRequest, name: str) -> HttpResponse:
    release = _release(name)
    attempt(request, lambda: curves.ask_for_curve(release, by=user_of(request)), _("It is being drawn."))
    return redirect("mer:learning_curve", name)
