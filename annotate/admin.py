from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, StackedInline, TabularInline
from unfold.decorators import action

from annotate.models import Gold, Question, Questionnaire, Rater, Rating
from annotate.services.questionnaires import apply_rule, reorder, settle_anew
from datasets.access import user_of
from datasets.admin import ReadOnlyAdmin, changes_of
from datasets.models import Word
from datasets.services.audit import record


class QuestionInline(StackedInline):
    """Questions of one's own: defined here, asked beside the words."""

    model = Question
    extra = 0


class GoldInline(TabularInline):
    model = Gold
    extra = 0
    autocomplete_fields = ["track"]

    def formfield_for_foreignkey(self, field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Words of this questionnaire only."""
        pk = request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        if field.name == "word" and pk and pk.isdecimal():
            kwargs["queryset"] = Word.objects.filter(label__dataset__questionnaire=pk).select_related("label")
        return super().formfield_for_foreignkey(field, request, **kwargs)

    def formfield_for_dbfield(self, field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The head of a column is no label to a screen reader."""
        found = super().formfield_for_dbfield(field, request, **kwargs)
        if found:
            widget = getattr(found.widget, "widget", found.widget)
            widget.attrs["aria-label"] = found.label
        return found


class QuestionnaireForm(forms.ModelForm):  # type: ignore[type-arg]
    def add_prefix(self, field_name: str) -> str:
        """Unfold takes a field `dataset` for a table of its own, and does not save the form."""
        return super().add_prefix("of_dataset" if field_name == "dataset" else field_name)


@admin.register(Questionnaire)
class QuestionnaireAdmin(ModelAdmin):
    form = QuestionnaireForm
    list_display = ["name", "dataset", "raters_per_track", "threshold", "is_open"]
    actions_detail = ["preview", "freeze", "raters"]
    inlines = [QuestionInline, GoldInline]
    fieldsets = [
        (None, {"fields": ["dataset", "name", "is_open"]}),
        (_("The rule"), {"fields": ["raters_per_track", "threshold", "fewest_raters", "ask_more_when_split", "unanimous_at", "tracks_per_rater", "seed"]}),
        (
            _("What is asked"),
            {"fields": ["question", "question_indonesian", "layout", "ask_point", "ask_confidence", "ask_known", "ask_vocals", "show_title"]},
        ),
        (
            _("The way to the first track"),
            {
                "fields": [
                    "with_consent", "consent", "consent_indonesian", "with_background", "with_sound_check", "with_headphone_check",
                    "with_guidelines", "guidelines", "guidelines_indonesian", "with_practice",
                ]
            },
        ),
        (_("Listening and quality"), {"fields": ["minimum_s", "gold_every", "repeat_every", "break_minutes", "queue_order"]}),
    ]  # fmt: skip

    @action(description=_("Preview"))
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.get_object(request, object_id) is None:
            raise Http404
        return redirect("annotate:preview", object_id)

    @action(description=_("Freeze a release"))
    def freeze(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.get_object(request, object_id) is None:
            raise Http404
        return redirect(reverse("annotate:freeze", args=[object_id]))

    @action(description=_("Raters and invites"))
    def raters(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.get_object(request, object_id) is None:
            raise Http404
        return redirect("annotate:rater_list", object_id)

    def get_readonly_fields(self, request: HttpRequest, obj: Questionnaire | None = None) -> list[str]:
        """The rule that ratings were collected under does not change under them."""
        rated = obj is not None and obj.ratings.exists()
        return ["dataset", "raters_per_track", "threshold", "fewest_raters", "seed"] if rated else []

    def save_model(self, request: HttpRequest, obj: Questionnaire, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        record(obj, to="edited" if change else "made", actor=user_of(request), reason=changes_of(form))
        if change and not obj.ratings.exists():
            apply_rule(obj)
        elif change and {"ask_more_when_split", "unanimous_at"} & set(form.changed_data):
            settle_anew(obj, by=user_of(request))
        if change and "queue_order" in form.changed_data:
            reorder(obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Questions and gold tracks: what was added, changed or taken out."""
        super().save_formset(request, form, formset, change)
        done = [f"added {one}" for one in formset.new_objects] + [f"took out {one}" for one in formset.deleted_objects]
        done += [f"changed {one}: {', '.join(names)}" for one, names in formset.changed_objects]
        for what in done:
            record(form.instance, to="edited", actor=user_of(request), reason=what[:500])


@admin.register(Rater)
class RaterAdmin(ReadOnlyAdmin):
    list_display = ["pseudonym", "created_at"]


@admin.register(Rating)
class RatingAdmin(ReadOnlyAdmin):
    list_display = ["track", "rater", "word", "label", "kind", "not_counted", "rated_at"]
    list_filter = ["questionnaire", "label", "kind", "not_counted"]
    list_select_related = ["track", "rater", "word", "label"]
