from django.urls import path

from mer import views

app_name = "mer"
urlpatterns = [
    path("runs/", views.run_list, name="run_list"),
    path("runs/<int:pk>/", views.run_page, name="run"),
    path("runs/<int:pk>/live/", views.run_live, name="run_live"),
    path("runs/<int:pk>/network/", views.network_download, name="network_download"),
    path("releases/<slug:name>/paper/", views.paper, name="paper"),
    path("releases/<slug:name>/compare/", views.compare, name="compare"),
    path("releases/<slug:name>/train/", views.train, name="train"),
    path("releases/<slug:name>/runs/", views.release_panel, name="release_panel"),
    path("tracks/<int:pk>/spectrograms/", views.track_panel, name="track_panel"),
    path("tracks/<int:pk>/spectrogram.png", views.track_spectrogram, name="track_spectrogram"),
    path("spectrograms/<int:pk>.png", views.spectrogram_image, name="spectrogram"),
]
