"""The rating page and what it calls while a track is heard."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotate import selectors
from annotate.errors import AlreadyRated, NotInvited, SlotGone, TooFast
from annotate.forms import RatingForm
from annotate.models import Assignment, Participation, Questionnaire, Rater
from annotate.services import ratings, slots
from annotate.services.raters import completion_code, participation_of, rater_of, return_token
from datasets import selectors as ground
from datasets.access import reader_required, user_of
from datasets.errors import MERError
from datasets.models import Track
from datasets.responses import audio_response


def participation(request: HttpRequest, pk: int) -> Participation:
    """The caller's way through the questionnaire; for those who are not invited it does not exist."""
    return way(request, pk)[0]


def way(request: HttpRequest, pk: int) -> tuple[Participation, int]:
    """The same, with the number of ratings so far."""
    user = user_of(request)
    if pk >= 2**63:
        raise Http404
    if found := selectors.way_of(user, pk):
        return found
    try:
        here = participation_of(user, get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk))
        return here, selectors.progress_of(here.questionnaire, here.rater).done
    except NotInvited as fact:
        raise Http404(str(fact)) from None


def slot_of(request: HttpRequest, key: UUID) -> Assignment:
    """The assignment, if it is the caller's; for everyone else it does not exist."""
    slot = selectors.slot_of(user_of(request), key)
    if slot is None:
        raise Http404
    return slot


@require_safe
@login_required
def rate(request: HttpRequest) -> HttpResponse:
    """The questionnaires that the caller may rate; with only one, straight to it."""
    questionnaires = list(selectors.questionnaires_for(user_of(request)))
    if len(questionnaires) == 1:
        return redirect("annotate:rate_next", questionnaires[0].pk)
    rater = rater_of(user_of(request))
    rows = [(questionnaire, selectors.progress_of(questionnaire, rater)) for questionnaire in questionnaires]
    return render(request, "annotate/rate_list.html", {"rows": rows})


@require_safe
@login_required
def rate_next(request: HttpRequest, pk: int) -> HttpResponse:
    """The rater's next track, once the way there is done. Loading it again shows the same one.

    The open page asks for the piece alone, as JSON; what is not a piece (a step, the end) it goes to as a page.
    """
    here, done = way(request, pk)
    if step := here.next_step:
        return redirect("annotate:step", pk, step)
    questionnaire, rater = here.questionnaire, here.rater
    slot = slots.reserve_next(questionnaire, rater)
    progress = selectors.progress(questionnaire, done, one_more=slot is not None)
    by_script = _by_script(request)
    if slot is None:
        ctx = {"questionnaire": questionnaire, "rater": rater, "progress": progress, "link": return_link(request, rater)}
        ctx["is_set_aside"] = rater.is_set_aside_at(timezone.now())
        ctx["is_full"] = questionnaire.tracks_per_rater is not None and done >= questionnaire.tracks_per_rater
        return HttpResponse(status=204) if by_script else render(request, "annotate/rate_done.html", ctx)
    piece = _piece(questionnaire, slot, progress)
    if by_script:
        response: HttpResponse = JsonResponse(piece)
    else:
        asked = selectors.asked_by(questionnaire)
        ctx = {
            "questionnaire": questionnaire,
            "rater": rater,
            "piece": piece,
            "words": asked.words,
            "questions": asked.questions,
            "reasons": Assignment.Reason,
            "question": questionnaire.text("question"),
            "link": return_link(request, rater),
        }
        response = render(request, "annotate/rate.html", ctx)
    response["Cache-Control"] = "no-store"  # the back button shows what is to be rated now, not a used page
    return response


def return_link(request: HttpRequest, rater: Rater) -> str:
    """The personal link of a rater without a password; empty for others."""
    token = return_token(rater)
    return request.build_absolute_uri(reverse("annotate:come_back", args=[token])) if token else ""


def _by_script(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _piece(questionnaire: Questionnaire, slot: Assignment, progress: selectors.Progress) -> dict[str, Any]:
    """All that the page needs to know of a track; nothing in it depends on what others said."""
    sound = ground.sound_of(slot.track_id)
    return {
        "url": reverse("annotate:rate_submit", args=[slot.key]),  # the other addresses lie under it
        "edition": str(questionnaire.edited_at),  # the page loads itself anew when the questionnaire has changed
        "title": " · ".join(filter(None, (slot.track.title, slot.track.artist))) if questionnaire.show_title else "",
        "position": _("%(n)d of %(total)d") % {"n": progress.done + 1, "total": progress.total},
        "done": progress.done,
        "can_undo": progress.done > 0 and slot.undone_key is None,
        "total": progress.total,
        "duration_s": sound.duration_s,
        "gain_db": sound.gain_db,
        "peaks": sound.peaks,
        "minimum_s": questionnaire.minimum_for(sound.duration_s),
        "draft": slot.draft,
    }


@require_safe
@reader_required
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """The questionnaire as raters see it, with a track of the dataset; nothing is reserved and nothing can be sent."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    track = questionnaire.dataset.tracks.filter(state=Track.State.READY).order_by("pk").first()
    asked = selectors.asked_by(questionnaire)
    ctx = {
        "questionnaire": questionnaire, "words": asked.words, "questions": asked.questions, "reasons": Assignment.Reason,
        "question": questionnaire.text("question"), "is_preview": True, "wav": ground.wav_of(track) if track else None,
        "audio_url": reverse("datasets:track_audio", args=[track.pk]) if track else "", "steps": questionnaire.steps,
        "piece": {"position": _("%(n)d of %(total)d") % {"n": 1, "total": selectors.n_tracks(questionnaire)}, "done": 0, "total": 1},
        "texts": [(name, questionnaire.text(name)) for name in ("consent", "guidelines") if getattr(questionnaire, f"with_{name}")],
    }  # fmt: skip
    return render(request, "annotate/rate.html", ctx)


@require_POST
@login_required
def rate_ahead(request: HttpRequest, pk: int) -> HttpResponse:
    """Reserve the track after this one, so that the page can load its sound early."""
    here = participation(request, pk)
    slot = None if here.next_step else slots.reserve_ahead(here.questionnaire, here.rater)
    if slot is None:
        return HttpResponse(status=204)
    return JsonResponse({"audio": reverse("annotate:rate_audio", args=[slot.key])})


@login_required
def rate_submit(request: HttpRequest, key: UUID) -> HttpResponse:
    if request.method != "POST":  # the session ended while rating, and the login led here
        messages.warning(request, _("Your last choice was not sent. Choose it again."))
        return redirect("annotate:rate")
    slot = slot_of(request, key)
    form = RatingForm(request.POST)
    next_page = reverse("annotate:rate_next", args=[slot.questionnaire_id])
    by_script = _by_script(request)
    try:
        ratings.submit_rating(slot, **form.values())
    except MERError as fact:
        if by_script:
            wait_s = fact.wait_s if isinstance(fact, TooFast) else None
            over = isinstance(fact, AlreadyRated | SlotGone)  # sending it again is of no use
            return JsonResponse({"detail": str(fact), "wait_s": wait_s, "over": over, "next": next_page}, status=409)
        messages.warning(request, str(fact))
    return JsonResponse({"next": next_page}, status=201) if by_script else redirect(next_page)


@require_POST
@login_required
def rate_shown(request: HttpRequest, key: UUID) -> HttpResponse:
    """The page reports the track shown: the clock of listening starts."""
    slots.report_shown(slot_of(request, key))
    return HttpResponse(status=204)


@require_POST
@login_required
def rate_draft(request: HttpRequest, key: UUID) -> HttpResponse:
    """Keep what is chosen and heard so far; this also keeps the slot."""
    slot = slot_of(request, key)
    try:
        draft = json.loads(request.body)
        if not isinstance(draft, dict):
            raise ValueError
    except (ValueError, RecursionError):
        return JsonResponse({"detail": _("A draft is a JSON object.")}, status=400)
    try:
        slots.save_draft(slot, draft)
    except MERError as fact:
        return JsonResponse({"detail": str(fact)}, status=409)
    return HttpResponse(status=204)


@login_required
def rate_decline(request: HttpRequest, key: UUID) -> HttpResponse:
    if request.method != "POST":
        return _once_more(request)
    slot = slot_of(request, key)
    values = {"reason": request.POST.get("reason", ""), "note": request.POST.get("note", "")}
    done = _("Thank you. A curator will look at that piece; here is another one.")
    return _told(request, slot.questionnaire_id, lambda: slots.decline(slot, **values), done)


@login_required
def rate_undo(request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        return _once_more(request)
    here = participation(request, pk)
    done = _("This is your last piece again, with what you chose. Change it and send it once more.")
    return _told(request, pk, lambda: ratings.undo_last(here.questionnaire, here.rater), done)


def _once_more(request: HttpRequest) -> HttpResponse:
    """The session ended meanwhile, and the login led to the address of a button."""
    messages.warning(request, _("Nothing was changed. Press the button again."))
    return redirect("annotate:rate")


def _told(request: HttpRequest, pk: int, action: Callable[[], object], done: str) -> HttpResponse:
    """What came of a button: for the open page as JSON, else as a message on the next one."""
    try:
        action()
    except MERError as fact:
        if _by_script(request):
            return JsonResponse({"detail": str(fact)}, status=409)
        messages.warning(request, str(fact))
    else:
        if _by_script(request):
            return JsonResponse({"detail": done}, status=201)
        messages.success(request, done)
    return redirect("annotate:rate_next", pk)


@require_safe
@login_required
def rate_audio(request: HttpRequest, key: UUID) -> HttpResponseBase:
    played = ground.played_file(slot_of(request, key).track)
    if played is None:
        raise Http404
    return audio_response(request, played)


@require_safe
@login_required
def record(request: HttpRequest, pk: int) -> HttpResponse:
    """A record of the work done that a lab can pay by."""
    here = participation(request, pk)
    done = selectors.work_of(here.questionnaire, here.rater)
    code = completion_code(here.questionnaire, here.rater, done["n"])
    ctx = {"questionnaire": here.questionnaire, "rater": here.rater, "done": done, "code": code, "now": timezone.now()}
    return render(request, "annotate/record.html", ctx)
