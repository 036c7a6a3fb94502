"""Who may open what: every page and endpoint, for everybody. A new route that is not listed here fails the test."""

import re

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from annotate import services
from annotate.models import Rating

pytestmark = pytest.mark.django_db

ANYONE = {"home", "login", "logout", "schema"}
RATERS = {
    "annotate:rate", "annotate:rate_next", "annotate:rate_submit", "annotate:rate_audio", "questionnaire-list", "questionnaire-detail",
    "assignment-list", "assignment-audio", "rating-list", "api-root",
}  # fmt: skip
CURATORS = {
    "datasets:track_list", "datasets:track_add", "datasets:track", "datasets:track_audio", "datasets:track_exclude", "datasets:track_restore",
    "datasets:job_list", "datasets:job_panel", "datasets:job_retry", "datasets:job_cancel", "datasets:release_list", "datasets:release",
    "datasets:release_export", "datasets:export_download", "annotate:agreement_list", "annotate:agreement", "annotate:track_panel",
    "mer:run_list", "mer:run", "mer:run_live", "mer:network_download", "mer:compare", "mer:train", "mer:release_panel", "mer:track_panel",
    "mer:spectrogram", "track-list", "track-detail", "questionnaire-freeze", "consensus-list", "release-list", "release-detail",
    "release-export", "run-list", "run-detail", "run-cancel", "run-retry", "prediction-list",
}  # fmt: skip


def routes() -> dict[str, str]:
    """Every route outside the admin by name, with an address whose arguments are 1."""
    found: dict[str, str] = {}

    def walk(patterns, prefix: str, namespace: str) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                if pattern.namespace != "admin":
                    inner = f"{pattern.namespace}:" if pattern.namespace else namespace
                    walk(pattern.url_patterns, prefix + _address(pattern), inner)
            elif isinstance(pattern, URLPattern) and pattern.name:
                found.setdefault(namespace + pattern.name, "/" + prefix + _address(pattern))

    walk(get_resolver().url_patterns, "", "")
    return found


def _address(pattern) -> str:
    text = str(pattern.pattern).removeprefix("^").removesuffix(r"\Z").removesuffix("$")
    text = re.sub(r"\(\?P<\w+>[^)]*\)", "1", text)
    return re.sub(r"<[^>]*>", "1", text).replace(r"\.(1)/?", "").replace("\\", "")


ROUTES = {name: address for name, address in routes().items() if "format" not in address and "drf_format" not in address}


def test_every_route_is_listed():
    assert set(ROUTES) == ANYONE | RATERS | CURATORS


def answers(client, address: str) -> set[int]:
    return {client.get(address).status_code, client.post(address).status_code}


@pytest.mark.parametrize("name", sorted(RATERS | CURATORS))
def test_a_stranger_gets_nowhere(client, name):
    assert answers(client, ROUTES[name]) <= {302, 401, 403, 405}
    response = client.get(ROUTES[name])
    if response.status_code == 302:
        assert response["Location"].startswith("/login/")


@pytest.mark.parametrize("name", sorted(CURATORS))
def test_a_rater_is_refused_what_curators_do(client, rater, name):
    client.force_login(rater)
    assert answers(client, ROUTES[name]) <= {403, 405}
    assert 403 in answers(client, ROUTES[name])


@pytest.mark.parametrize("name", sorted(CURATORS | RATERS | ANYONE))
def test_a_curator_is_never_refused_and_nothing_breaks(client, curator, name):
    client.force_login(curator)
    assert answers(client, ROUTES[name]) <= {200, 204, 302, 400, 404, 405, 409}


def test_a_rater_cannot_reach_another_rater_s_slot(client, rater, curator, make_track, questionnaire):
    make_track()
    slot = services.reserve_next(questionnaire, services.rater_of(curator))
    client.force_login(rater)
    assert client.get(f"/assignments/{slot.pk}/audio/").status_code == 404
    assert client.post(f"/assignments/{slot.pk}/", {"word": "happy"}).status_code == 404
    assert client.post("/api/v1/ratings/", {"assignment": slot.pk, "word": "happy"}).status_code == 404


def test_the_admin_panel_is_for_admins(client, rater, curator, admin_person):
    for person, status in ((rater, 302), (curator, 302), (admin_person, 200)):
        client.force_login(person)
        assert client.get("/admin/").status_code == status


def test_ratings_runs_and_releases_are_read_only_in_the_admin_panel(client, admin_person, make_track, rate):
    rate(make_track(), "happy")
    client.force_login(admin_person)
    rating = Rating.objects.get()
    assert client.get(f"/admin/annotate/rating/{rating.pk}/change/").status_code == 200
    assert client.post(f"/admin/annotate/rating/{rating.pk}/change/", {"valence": 1}).status_code == 403
    assert client.post(f"/admin/annotate/rating/{rating.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/annotate/rating/add/").status_code == 403
