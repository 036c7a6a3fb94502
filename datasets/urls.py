from django.urls import path

from datasets import views

app_name = "datasets"
urlpatterns = [
    path("tracks/", views.track_list, name="track_list"),
    path("tracks/add/", views.track_add, name="track_add"),
    path("tracks/<int:pk>/", views.track_page, name="track"),
    path("tracks/<int:pk>/audio/", views.track_audio, name="track_audio"),
    path("tracks/<int:pk>/exclude/", views.track_exclude, name="track_exclude"),
    path("tracks/<int:pk>/restore/", views.track_restore, name="track_restore"),
    path("jobs/", views.job_list, name="job_list"),
    path("jobs/<int:pk>/", views.job_panel, name="job_panel"),
    path("jobs/<int:pk>/retry/", views.job_retry, name="job_retry"),
    path("jobs/<int:pk>/cancel/", views.job_cancel, name="job_cancel"),
    path("releases/", views.release_list, name="release_list"),
    path("releases/<slug:name>/", views.release_page, name="release"),
    path("releases/<slug:name>/export/", views.release_export, name="release_export"),
    path("exports/<int:pk>/", views.export_download, name="export_download"),
]
