from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action

from datasets.models import Dataset, Event, Job, Label, Release, Track


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only the services change."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LabelInline(TabularInline):
    model = Label
    extra = 0


@admin.register(Dataset)
class DatasetAdmin(ModelAdmin):
    list_display = ["name", "synthetic", "created_at"]
    inlines = [LabelInline]


@admin.register(Track)
class TrackAdmin(ReadOnlyAdmin):
    list_display = ["title", "artist", "dataset", "state", "duration_s"]
    list_filter = ["state", "dataset", "source"]
    search_fields = ["title", "artist", "external_id"]
    actions_detail = ["open_page"]
    actions_list = ["add_tracks"]

    @action(description="Open its page")
    def open_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return redirect("datasets:track", object_id)

    @action(description="Add tracks")
    def add_tracks(self, request: HttpRequest) -> HttpResponse:
        return redirect("datasets:track_add")


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ["name", "dataset", "frozen_at", "frozen_by"]
    actions_detail = ["export"]

    @action(description="Export")
    def export(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """To the release's page, where the bundle is asked for, watched and downloaded."""
        release = Release.objects.get(pk=object_id)
        return redirect(reverse("datasets:release", args=[release.name]) + "#export")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["title", "state", "progress", "attempts", "created_at", "finished_at"]
    list_filter = ["state", "task"]


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor", "subject", "subject_id", "from_state", "to_state", "reason"]
    list_filter = ["subject", "to_state"]
