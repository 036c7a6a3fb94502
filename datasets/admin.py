from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from datasets.access import user_of
from datasets.methods.schemes import PAPER
from datasets.models import Dataset, Event, Job, Label, Release, Track
from datasets.services.audit import record
from datasets.services.labels import set_labels

admin.site.unregister(User)
admin.site.unregister(Group)  # what curators and guests may is not for the panel to change


def changes_of(form: Any) -> str:
    """What was changed in a form of the panel, from what to what; texts by their name alone."""

    def said(name: str) -> str:
        before, now = form.initial.get(name), form.cleaned_data.get(name)
        is_short = len(f"{before}{now}") <= 60
        return f"{name}: {before} -> {now}" if is_short and before is not None else name

    return "; ".join(said(name) for name in form.changed_data)[:500]


@admin.register(User)
class AccountAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    """Accounts are closed, never deleted: the audit log names them. Whatever is changed on one stands in that log, too."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    filter_horizontal = ()
    # Rights come with the groups (curators, guests); single permissions would be a second way to give them.
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        (_("Person"), {"fields": ["first_name", "last_name", "email"]}),
        (_("Rights"), {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        (_("Dates"), {"fields": ["last_login", "date_joined"]}),
    ]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        said = ", ".join(form.changed_data) if change else ""  # no name: accounts are erased, the log stays
        record(obj, to="account changed" if change else "account made", actor=user_of(request), reason=said)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        response: HttpResponse = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302 and (changed := self.get_object(request, id)):
            record(changed, to="password changed", actor=user_of(request), reason="")
        return response


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only the services change."""

    def found(self, request: HttpRequest, object_id: str) -> Any:
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return row

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LabelInline(TabularInline):
    """Shown, not edited: ratings and releases stand on the labels."""

    model = Label
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Dataset)
class DatasetAdmin(ModelAdmin):
    list_display = ["name", "synthetic", "created_at"]
    inlines = [LabelInline]

    def save_model(self, request: HttpRequest, obj: Dataset, form: Any, change: bool) -> None:
        """A new dataset gets the paper's labels and words."""
        super().save_model(request, obj, form, change)
        record(obj, to="edited" if change else "made", actor=user_of(request), reason=changes_of(form))
        if not change:
            set_labels(obj, PAPER)


@admin.register(Track)
class TrackAdmin(ReadOnlyAdmin):
    list_display = ["title", "artist", "dataset", "state", "duration_s"]
    list_filter = ["state", "dataset", "source"]
    search_fields = ["title", "artist", "external_id"]
    actions_detail = ["open_page"]
    actions_list = ["add_tracks"]

    @action(description=_("Open its page"))
    def open_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("datasets:track", self.found(request, object_id).pk)

    @action(description=_("Add tracks"))
    def add_tracks(self, request: HttpRequest) -> HttpResponse:
        return redirect("datasets:track_add")


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ["name", "dataset", "frozen_at", "frozen_by"]
    actions_detail = ["export"]

    @action(description=_("Export"))
    def export(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the release's page, where the bundle is asked for, watched and downloaded."""
        release = self.found(request, object_id)
        return redirect(reverse("datasets:release", args=[release.name]) + "#export")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["title", "state", "progress", "attempts", "created_at", "finished_at"]
    list_filter = ["state", "task"]
    actions_detail = ["open_page"]
    actions_list = ["all_jobs"]

    @action(description=_("Watch it, cancel it or try it again"))
    def open_page(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("datasets:job_panel", self.found(request, object_id).pk)

    @action(description=_("All jobs, live"))
    def all_jobs(self, request: HttpRequest) -> HttpResponse:
        return redirect("datasets:job_list")


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor", "subject", "subject_id", "from_state", "to_state", "reason"]
    list_filter = ["subject", "to_state"]
    search_fields = ["reason", "actor__username"]
    list_select_related = ["actor"]
    date_hierarchy = "at"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        try:
            response: HttpResponse = super().changelist_view(request, extra_context)
        except OverflowError:  # a year in the address that no calendar has; Django catches the years up to 2**31
            return redirect("admin:datasets_event_changelist")
        return response
