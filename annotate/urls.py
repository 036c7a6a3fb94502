from django.urls import path

from annotate.views import agreement, joining, raters, rating

app_name = "annotate"
urlpatterns = [
    path("rate/", rating.rate, name="rate"),
    path("rate/<int:pk>/", rating.rate_next, name="rate_next"),
    path("rate/<int:pk>/ahead/", rating.rate_ahead, name="rate_ahead"),
    path("rate/<int:pk>/undo/", rating.rate_undo, name="rate_undo"),
    path("rate/<int:pk>/record/", rating.record, name="record"),
    path("rate/<int:pk>/gold/<int:gold>/audio/", joining.gold_audio, name="gold_audio"),
    path("rate/<int:pk>/<slug:step>/", joining.step, name="step"),
    path("assignments/<uuid:key>/", rating.rate_submit, name="rate_submit"),
    path("assignments/<uuid:key>/audio/", rating.rate_audio, name="rate_audio"),
    path("assignments/<uuid:key>/shown/", rating.rate_shown, name="rate_shown"),
    path("assignments/<uuid:key>/draft/", rating.rate_draft, name="rate_draft"),
    path("assignments/<uuid:key>/decline/", rating.rate_decline, name="rate_decline"),
    path("join/<str:token>/", joining.join, name="join"),
    path("return/<str:token>/", joining.come_back, name="come_back"),
    path("me/", joining.me, name="me"),
    path("me/data/", joining.my_data, name="my_data"),
    path("me/link/", joining.new_return_link, name="new_return_link"),
    path("me/erase/", joining.erase_me, name="erase_me"),
    path("agreement/", agreement.agreement_list, name="agreement_list"),
    path("agreement/<int:pk>/", agreement.agreement, name="agreement"),
    path("reports/<int:pk>/close/", agreement.report_close, name="report_close"),
    path("tracks/send-back/", agreement.tracks_send_back, name="tracks_send_back"),
    path("tracks/<int:pk>/ratings/", agreement.track_panel, name="track_panel"),
    path("questionnaires/<int:pk>/raters/", raters.rater_list, name="rater_list"),
    path("questionnaires/<int:pk>/raters/<int:rater>/", raters.rater_page, name="rater"),
    path("questionnaires/<int:pk>/raters/<int:rater>/set-aside/", raters.set_aside, name="set_aside"),
    path("questionnaires/<int:pk>/raters/<int:rater>/reinstate/", raters.reinstate, name="reinstate"),
    path("questionnaires/<int:pk>/raters/<int:rater>/erase/", raters.erase, name="rater_erase"),
    path("questionnaires/<int:pk>/ratings.csv", raters.rating_table, name="rating_table"),
    path("questionnaires/<int:pk>/invites/", raters.invite_create, name="invite_create"),
    path("invites/<int:pk>/revoke/", raters.invite_revoke, name="invite_revoke"),
]
