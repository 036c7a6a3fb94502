from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action

from annotate.models import Questionnaire, Rater, Rating
from datasets.admin import ReadOnlyAdmin


@admin.register(Questionnaire)
class QuestionnaireAdmin(ModelAdmin):
    list_display = ["name", "dataset", "raters_per_track", "threshold", "is_open"]
    actions_detail = ["freeze"]

    @action(description="Freeze a release")
    def freeze(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.get_object(request, object_id) is None:
            raise Http404
        return redirect(reverse("annotate:agreement", args=[object_id]) + "#freeze")

    def get_readonly_fields(self, request: HttpRequest, obj: Questionnaire | None = None) -> list[str]:
        """The rule that ratings were collected under does not change under them."""
        rated = obj is not None and obj.ratings.exists()
        return ["dataset", "raters_per_track", "threshold"] if rated else []


@admin.register(Rater)
class RaterAdmin(ReadOnlyAdmin):
    list_display = ["pseudonym", "created_at"]


@admin.register(Rating)
class RatingAdmin(ReadOnlyAdmin):
    list_display = ["track", "rater", "word", "label", "rated_at"]
    list_filter = ["questionnaire", "label"]
    list_select_related = ["track", "rater", "word", "label"]
