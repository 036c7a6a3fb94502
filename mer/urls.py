from django.urls import path

from mer.views import inferences, pictures, releases, runs

app_name = "mer"
urlpatterns = [
    path("runs/", runs.run_list, name="run_list"),
    path("runs/<int:pk>/", runs.run_page, name="run"),
    path("runs/<int:pk>/live/", runs.run_live, name="run_live"),
    path("runs/<int:pk>/network/", runs.network_download, name="network_download"),
    path("runs/<int:pk>/predictions.csv", runs.prediction_table, name="prediction_table"),
    path("runs/<int:pk>/again/", runs.run_again, name="run_again"),
    path("runs/<int:pk>/promote/", runs.promote, name="promote"),
    path("runs/<int:pk>/notes/", runs.notes, name="notes"),
    path("runs/<int:pk>/predict/", inferences.predict, name="predict"),
    path("inferences/<int:pk>/", inferences.inference, name="inference"),
    path("releases/<slug:name>/paper/", releases.paper, name="paper"),
    path("releases/<slug:name>/compare/", releases.compare, name="compare"),
    path("releases/<slug:name>/compare.<slug:format>", releases.compare_data, name="compare_data"),
    path("releases/<slug:name>/train/", releases.train, name="train"),
    path("releases/<slug:name>/runs/", releases.release_panel, name="release_panel"),
    path("releases/<slug:name>/round/accuracy/", releases.round_panel, name="round_panel"),
    path("releases/<slug:name>/learning-curve/", releases.learning_curve, name="learning_curve"),
    path("releases/<slug:name>/learning-curve/draw/", releases.learning_curve_draw, name="learning_curve_draw"),
    path("tracks/<int:pk>/spectrograms/", pictures.track_panel, name="track_panel"),
    path("tracks/<int:pk>/spectrogram.png", pictures.track_spectrogram, name="track_spectrogram"),
    path("spectrograms/<int:pk>.png", pictures.spectrogram_image, name="spectrogram"),
]
