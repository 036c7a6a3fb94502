"""How people become raters: the invite, the steps to the first track, the way back, their own data."""

import json
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from annotate import selectors
from annotate.errors import InviteRefused
from annotate.forms import BackgroundForm
from annotate.models import Gold, Participation
from annotate.services import raters
from annotate.views.rating import participation, return_link
from datasets import selectors as ground
from datasets.access import user_of
from datasets.errors import MERError
from datasets.responses import audio_response

BACKEND = settings.AUTHENTICATION_BACKENDS[-1]  # the one that knows accounts; those before it only count failures


@never_cache
def join(request: HttpRequest, token: str) -> HttpResponse:
    """An invite: what the study is and what is kept. Agreeing makes a rater without name or password."""
    try:
        invite = raters.find_invite(token)
        questionnaire = invite.questionnaire
        ctx = {"questionnaire": questionnaire, "consent": questionnaire.text("consent"), "nonce": get_random_string(32)}
        if request.method != "POST":
            raters.refuse_used_up(invite)
            return render(request, "annotate/join.html", ctx)
        if questionnaire.with_consent and not request.POST.get("agree"):
            messages.warning(request, _("Tick the box if you agree. Without your consent nothing can be kept, and nothing was."))
            return redirect("annotate:join", token)
        mine = raters.join(
            invite, user=request.user if isinstance(request.user, User) else None, nonce=request.POST.get("nonce", "")
        )
    except InviteRefused as fact:
        return render(request, "annotate/refused.html", {"reason": str(fact)}, status=410)
    if questionnaire.with_consent:
        raters.pass_step(mine, "consent")
    if not request.user.is_authenticated and mine.rater.user:
        login(request, mine.rater.user, backend=BACKEND)
    return redirect("annotate:rate_next", questionnaire.pk)


@never_cache
def come_back(request: HttpRequest, token: str) -> HttpResponse:
    """The personal return link. A button, so that programs which only look at links do not log in."""
    try:
        rater = raters.find_returning(token)
    except InviteRefused as fact:
        return render(request, "annotate/refused.html", {"reason": str(fact)}, status=410)
    if request.method == "POST" and rater.user:
        login(request, rater.user, backend=BACKEND)
        return redirect("annotate:rate")
    return render(request, "annotate/come_back.html", {"rater": rater})


@login_required
def step(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """One step of the way to the first track; it can be opened again later."""
    here = participation(request, pk)
    if step not in here.questionnaire.steps:
        raise Http404
    return STEPS[step](request, here)


def _passed(request: HttpRequest, here: Participation, step: str, **how: object) -> HttpResponse:
    raters.pass_step(here, step, **how)
    return redirect("annotate:rate_next", here.questionnaire_id)


def _page(request: HttpRequest, here: Participation, step: str, **ctx: Any) -> HttpResponse:
    steps = here.questionnaire.steps
    ctx |= {"questionnaire": here.questionnaire, "rater": here.rater, "number": steps.index(step) + 1, "n_steps": len(steps)}
    return render(request, f"annotate/step_{step}.html", ctx)


def _consent(request: HttpRequest, here: Participation) -> HttpResponse:
    if request.method == "POST":
        if request.POST.get("agree"):
            return _passed(request, here, "consent")
        messages.warning(request, _("Tick the box if you agree. Without your consent nothing can be kept, and nothing was."))
    return _page(request, here, "consent", consent=here.questionnaire.text("consent"))


def _background(request: HttpRequest, here: Participation) -> HttpResponse:
    form = BackgroundForm(request.POST or None, initial=here.rater.background)
    if request.method == "POST" and form.is_valid():
        raters.save_background(here.rater, form.cleaned_data)
        return _passed(request, here, "background")
    return _page(request, here, "background", form=form)


def _sound(request: HttpRequest, here: Participation) -> HttpResponse:
    if request.method == "POST":
        right = request.POST.get("right", "")
        how: dict[str, object] = {"headphones": f"{int(right)} of 6"} if right in set("0123456") else {}
        return _passed(request, here, "sound", **how)
    return _page(request, here, "sound")


def _guidelines(request: HttpRequest, here: Participation) -> HttpResponse:
    if request.method == "POST":
        return _passed(request, here, "guidelines")
    examples = [(gold, ground.wav_of(gold.track)) for gold in selectors.golds_of(here.questionnaire, Gold.Use.EXAMPLE)]
    return _page(request, here, "guidelines", examples=examples, guidelines=here.questionnaire.text("guidelines"))


def _practice(request: HttpRequest, here: Participation) -> HttpResponse:
    """Piece after piece, each with feedback once a word is chosen."""
    golds = selectors.golds_of(here.questionnaire, Gold.Use.PRACTICE)
    asked = request.GET.get("piece", "")[:4]
    number = int(asked) if asked.isdecimal() else 1
    if all(str(gold.pk) in here.practice for gold in golds) and (number > len(golds) or not golds):
        return _passed(request, here, "practice", pieces=len(golds))
    if number > len(golds):  # one was left out
        number = next(index for index, gold in enumerate(golds, 1) if str(gold.pk) not in here.practice)
    gold = golds[max(number, 1) - 1]
    chosen = None
    if request.method == "POST":
        try:
            raters.practise(here, gold, request.POST.get("word", ""))
        except MERError as fact:
            messages.warning(request, str(fact))
        else:
            chosen = here.practice[str(gold.pk)]
    words = selectors.words_of(here.questionnaire)
    picked = next((word for word in words if word.key == chosen), None)
    return _page(
        request, here, "practice", gold=gold, wav=ground.wav_of(gold.track), words=words, picked=picked, piece=number,
        n_pieces=len(golds), next_piece=number + 1, question=here.questionnaire.text("question"),
    )  # fmt: skip


STEPS: dict[str, Callable[[HttpRequest, Participation], HttpResponse]] = {
    "consent": _consent,
    "background": _background,
    "sound": _sound,
    "guidelines": _guidelines,
    "practice": _practice,
}


@require_safe
@login_required
def gold_audio(request: HttpRequest, pk: int, gold: int) -> HttpResponseBase:
    """The sound of an example or a practice piece. Hidden checks are not reached from here."""
    here = participation(request, pk)
    shown = get_object_or_404(Gold.objects.exclude(use=Gold.Use.CHECK), pk=gold, questionnaire=here.questionnaire)
    played = ground.played_file(shown.track)
    if played is None:
        raise Http404
    return audio_response(request, played)


# --- the rater's own page -----------------------------------------------------------------------------------------
@never_cache
@require_safe
@login_required
def me(request: HttpRequest) -> HttpResponse:
    rater = raters.rater_of(user_of(request))
    rows = [(row, selectors.progress_of(row, rater)) for row in selectors.questionnaires_for(user_of(request))]
    return render(request, "annotate/me.html", {"rater": rater, "link": return_link(request, rater), "rows": rows})


@require_POST
@login_required
def new_return_link(request: HttpRequest) -> HttpResponse:
    raters.renew_return_link(raters.rater_of(user_of(request)))
    messages.success(request, _("Here is a new return link. The old one does not work any more."))
    return redirect("annotate:me")


@require_safe
@login_required
def my_data(request: HttpRequest) -> HttpResponse:
    rater = raters.rater_of(user_of(request))
    text = json.dumps(raters.personal_data(rater), indent=2, ensure_ascii=False)
    name = f"{rater.pseudonym}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="application/json; charset=utf-8", headers=headers)


@require_POST
@login_required
def erase_me(request: HttpRequest) -> HttpResponse:
    if not request.POST.get("sure"):
        messages.warning(request, _("Nothing was erased. Tick the box if you are sure."))
        return redirect("annotate:me")
    user = user_of(request)
    try:
        raters.erase(raters.rater_of(user), by=user)
    except MERError as fact:
        messages.error(request, str(fact))
        return redirect("annotate:me")
    logout(request)
    messages.success(request, _("Your personal data is erased. Your ratings stay, and nothing leads from them to you."))
    return redirect("home")
