from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from annotate import selectors, services
from annotate.forms import FreezeForm
from annotate.models import Assignment, Questionnaire
from datasets import selectors as ground
from datasets.access import HtmxHttpRequest, curator_required, panel_base, user_of
from datasets.errors import MERError
from datasets.models import Track
from datasets.responses import audio_response


@require_safe
@login_required
def rate(request: HttpRequest) -> HttpResponse:
    """The questionnaires that are open; with only one, straight to it."""
    questionnaires = selectors.open_questionnaires()
    if len(questionnaires) == 1:
        return redirect("annotate:rate_next", questionnaires[0].pk)
    rater = services.rater_of(user_of(request))
    rows = [(questionnaire, selectors.progress_of(questionnaire, rater)) for questionnaire in questionnaires]
    return render(request, "annotate/rate_list.html", {"rows": rows})


@require_safe
@login_required
def rate_next(request: HttpRequest, pk: int) -> HttpResponse:
    """The rater's next track. Loading it again shows the same one: the slot is held for half an hour."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    rater = services.rater_of(user_of(request))
    assignment = services.reserve_next(questionnaire, rater)
    progress = selectors.progress_of(questionnaire, rater)
    ctx = {"questionnaire": questionnaire, "progress": progress, "assignment": assignment}
    if assignment is None:
        return render(request, "annotate/rate_done.html", ctx)
    wav = ground.wav_of(assignment.track)
    ctx |= {"wav": wav, "words": selectors.words_of(questionnaire)}
    response = render(request, "annotate/rate.html", ctx)
    response["Cache-Control"] = "no-store"  # the back button shows what is to be rated now, not a used page
    return response


@login_required
def rate_submit(request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":  # the session ended while rating, and the login led here
        messages.warning(request, "Your last choice was not sent. Choose it again.")
        return redirect("annotate:rate")
    assignment = _my_assignment(request, pk)
    try:
        services.submit_rating(assignment, word_key=request.POST.get("word", ""))
    except MERError as fact:
        messages.warning(request, str(fact))
    return redirect("annotate:rate_next", assignment.questionnaire_id)


@require_safe
@login_required
def rate_audio(request: HttpRequest, pk: int) -> HttpResponseBase:
    wav = ground.wav_of(_my_assignment(request, pk).track)
    if wav is None:
        raise Http404
    return audio_response(request, wav.file)


def _my_assignment(request: HttpRequest, pk: int) -> Assignment:
    """The assignment, if it is the caller's; for everyone else it does not exist."""
    return get_object_or_404(Assignment.objects.select_related("questionnaire", "track"), pk=pk, rater__user=user_of(request))


@require_safe
@curator_required
def agreement_list(request: HttpRequest) -> HttpResponse:
    questionnaires = list(Questionnaire.objects.select_related("dataset"))
    if len(questionnaires) == 1:
        return redirect("annotate:agreement", questionnaires[0].pk)
    rows = [(questionnaire, selectors.summarise(questionnaire)) for questionnaire in questionnaires]
    return render(request, "annotate/agreement_list.html", {"rows": rows})


@curator_required
def agreement(request: HttpRequest, pk: int) -> HttpResponse:
    """What the ratings say so far; posting freezes it as a release."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    form = FreezeForm(request.POST or None, dataset_name=questionnaire.dataset.name)
    if request.method == "POST" and form.is_valid():
        try:
            release = services.freeze(questionnaire, by=user_of(request), **form.cleaned_data)
        except MERError as fact:
            form.add_error(None, str(fact))
        else:
            messages.success(request, f"“{release.name}” is frozen.")
            return redirect("datasets:release", release.name)
    ctx = {"questionnaire": questionnaire, "summary": selectors.summarise(questionnaire), "form": form}
    return render(request, "annotate/agreement.html", ctx)


@require_safe
@curator_required
def track_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The ratings of a track, for its page."""
    track = get_object_or_404(Track, pk=pk)
    ctx = {"consensus": selectors.consensus_of(track), "ratings": selectors.ratings_of(track), "base": panel_base(request)}
    return render(request, "annotate/track_panel.html", ctx)
