from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from datasets.admin import ReadOnlyAdmin
from datasets.models import Release
from mer.models import Run


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["name", "release", "network", "job_state", "created_at"]
    list_filter = ["network", "release"]
    list_select_related = ["release", "job"]
    actions_list = ["train"]
    actions_detail = ["open_page", "train_again"]

    @admin.display(description=_("State"))
    def job_state(self, run: Run) -> str:
        return run.job.get_state_display() if run.job else "–"

    @action(description=_("Train on the newest release"))
    def train(self, request: HttpRequest) -> HttpResponse:
        release = Release.objects.first()
        if release is None:
            messages.error(request, "There is no release to train on. Freeze one first.")
            return redirect("admin:annotate_questionnaire_changelist")
        return redirect("mer:train", release.name)

    @action(description=_("Open its page"))
    def open_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("mer:run", self.found(request, object_id).pk)

    @action(description=_("Train on this release"))
    def train_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("mer:train", self.found(request, object_id).release.name)
