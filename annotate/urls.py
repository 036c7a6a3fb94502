from django.urls import path

from annotate import views

app_name = "annotate"
urlpatterns = [
    path("rate/", views.rate, name="rate"),
    path("rate/<int:pk>/", views.rate_next, name="rate_next"),
    path("assignments/<int:pk>/", views.rate_submit, name="rate_submit"),
    path("assignments/<int:pk>/audio/", views.rate_audio, name="rate_audio"),
    path("agreement/", views.agreement_list, name="agreement_list"),
    path("agreement/<int:pk>/", views.agreement, name="agreement"),
    path("tracks/<int:pk>/ratings/", views.track_panel, name="track_panel"),
]
