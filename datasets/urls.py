from django.urls import path

from datasets.views import duplicates, imports, jobs, releases, tracks, uploads

app_name = "datasets"
urlpatterns = [
    path("tracks/", tracks.track_list, name="track_list"),
    path("tracks/add/", tracks.track_add, name="track_add"),
    path("tracks/bulk/", tracks.tracks_bulk, name="tracks_bulk"),
    path("tracks/duplicates/", duplicates.duplicate_list, name="duplicate_list"),
    path("tracks/duplicates/<int:pk>/", duplicates.duplicate_rule, name="duplicate_rule"),
    path("uploads/", uploads.upload_begin, name="upload_begin"),
    path("uploads/<str:token>/", uploads.upload_part, name="upload_part"),
    path("uploads/<str:token>/finish/", uploads.upload_finish, name="upload_finish"),
    path("tracks/<int:pk>/", tracks.track_page, name="track"),
    path("tracks/<int:pk>/audio/", tracks.track_audio, name="track_audio"),
    path("tracks/<int:pk>/exclude/", tracks.track_exclude, name="track_exclude"),
    path("tracks/<int:pk>/restore/", tracks.track_restore, name="track_restore"),
    path("imports/", imports.import_add, name="import_add"),
    path("imports/<int:pk>/", imports.import_page, name="import"),
    path("imports/<int:pk>/confirm/", imports.import_confirm, name="import_confirm"),
    path("imports/<int:pk>/discard/", imports.import_discard, name="import_discard"),
    path("imports/<int:pk>/read-again/", imports.import_read_again, name="import_read_again"),
    path("imports/<int:pk>/retry/", imports.import_retry, name="import_retry"),
    path("jobs/health/", jobs.ingest_health, name="ingest_health"),
    path("jobs/pause/", jobs.queue_pause, name="queue_pause"),
    path("jobs/check-sources/", jobs.check_sources, name="check_sources"),
    path("jobs/resume/", jobs.queue_resume, name="queue_resume"),
    path("jobs/", jobs.job_list, name="job_list"),
    path("jobs/<int:pk>/", jobs.job_panel, name="job_panel"),
    path("jobs/<int:pk>/retry/", jobs.job_retry, name="job_retry"),
    path("jobs/<int:pk>/cancel/", jobs.job_cancel, name="job_cancel"),
    path("releases/", releases.release_list, name="release_list"),
    path("releases/<slug:name>/", releases.release_page, name="release"),
    path("releases/<slug:name>/export/", releases.release_export, name="release_export"),
    path("exports/<int:pk>/", releases.export_download, name="export_download"),
]
