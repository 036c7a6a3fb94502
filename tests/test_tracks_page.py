"""The list of tracks: filters, order, pages that cost the same everywhere, and work on many at once."""

import re
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotate.models import Consensus
from datasets import selectors
from datasets.errors import WrongState
from datasets.keyset import keyset_page
from datasets.models import Event, Job, Track
from datasets.services import tracks

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def many(dataset) -> list[Track]:
    return Track.objects.bulk_create(
        Track(
            dataset=dataset, title=f"Piece {number % 40:02d}", source="file", state=("ready", "failed")[number % 2],
            reason="" if number % 2 == 0 else "The file is empty.", duration_s=float(number % 7), label=("", "happy", "sad")[number % 3],
            agreement=None if number % 3 == 0 else 0.4 + 0.2 * (number % 4),
        )
        for number in range(130)
    )  # fmt: skip


def walk(order: str, size: int = 13) -> list[int]:
    found, after = [], ""
    while True:
        page = keyset_page(Track.objects.all(), order=order, size=size, after=after)
        found += [row.pk for row in page.rows]
        if not page.next:
            return found
        after = page.next


@pytest.mark.parametrize("order", ["id", "-id", "title", "-title", "duration_s", "-duration_s", "agreement", "-agreement"])
def test_page_after_page_is_the_whole_list_in_order_and_back_again(many, order):
    field, falling = order.removeprefix("-"), order.startswith("-")
    rows = [row for row in Track.objects.all() if getattr(row, field) is not None]
    expected = [row.pk for row in sorted(rows, key=lambda row: (getattr(row, field), row.pk), reverse=falling)]
    assert walk(order) == expected
    last = keyset_page(Track.objects.all(), order=order, size=13, after="")
    places = []
    while last.next:
        places.append(last)
        last = keyset_page(Track.objects.all(), order=order, size=13, after=last.next)
    for earlier in reversed(places):
        last = keyset_page(Track.objects.all(), order=order, size=13, before=last.previous)
        assert [row.pk for row in last.rows] == [row.pk for row in earlier.rows]
    assert not last.previous


@pytest.mark.parametrize(
    "place",
    [
        "x", "[]", "[1]", '[["a"], 1]', '["P", -1]', "[1e400, 1]", "[null, 1]", '["P", "1"]', "[99999999999999999999, 1]", "[NaN, 1]",
        '["\\u0000", 1]', '["\\ud800", 1]', "[" * 7000, "[" * 1000, '{"a": 1}',
    ],
)  # fmt: skip
def test_a_place_that_is_none_gives_the_first_page(client, curator, many, place):
    client.force_login(curator)
    for sort in ("-id", "title", "agreement"):
        page = client.get("/tracks/", {"after": place, "sort": sort})
        assert page.status_code == 200 and b"Piece" in page.content


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ("state=failed", 65), ("label=sad", 43), ("reason=empty", 65), ("agreement=all", 21), ("search=piece+07", 4), ("source=youtube", 0),
        ("mark=gone", 0), ("mark=duplicate", 0), ("state=nonsense", 0), ("agreement=nonsense", 130),
    ],
)  # fmt: skip
def test_every_filter_leaves_what_it_names(client, curator, many, query, n):
    client.force_login(curator)
    seen, address = 0, f"/tracks/?{query}"
    while address:
        page = client.get(address).content.decode()
        seen += page.count('name="track"')
        found = re.search(r'href="(\?[^"]+)"\s+rel="next"', page)
        address = "/tracks/" + found.group(1).replace("&amp;", "&") if found else ""
    assert seen == n


def test_the_page_asks_the_database_as_often_for_many_tracks_as_for_few(client, curator, dataset, many):
    client.force_login(curator)
    counts = []
    for n in (60, 130):
        Track.objects.filter(pk__gt=many[n - 1].pk).update(state="excluded")
        client.get("/tracks/")
        with CaptureQueriesContext(connection) as queries:
            client.get("/tracks/?sort=title")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_ticked_tracks_are_left_out_and_what_cannot_be_is_listed(client, curator, make_track):
    client.force_login(curator)
    one, two = make_track("One"), make_track("Two")
    Track.objects.filter(pk=two.pk).update(state="excluded")
    page = client.post(
        "/tracks/bulk/", {"action": "exclude", "reason": "has vocals", "track": [one.pk, two.pk, "x", "9" * 40]}, follow=True
    )
    said = page.content.decode()
    assert "Done with 1 track." in said and "is excluded" in said
    one.refresh_from_db()
    assert (one.state, one.reason) == ("excluded", "has vocals")
    assert Event.objects.filter(subject="track", subject_id=one.pk, to_state="excluded", actor=curator).exists()


@pytest.fixture
def coming(dataset):
    """Three tracks with a queued conversion each."""
    tracks = [Track.objects.create(dataset=dataset, title=f"Coming {n}", source="file", state="waiting") for n in range(3)]
    for track in tracks:
        Job.objects.create(task="datasets.tasks.convert_track", subject="track", subject_id=track.pk, title=f"Convert {track}")
    return tracks


def test_tracks_that_are_coming_in_are_stopped_and_can_be_tried_again(client, curator, coming):
    client.force_login(curator)
    ticked = [track.pk for track in coming[:2]]
    client.post("/tracks/bulk/", {"action": "cancel", "track": ticked})
    assert list(Track.objects.order_by("pk").values_list("state", flat=True)) == ["failed", "failed", "waiting"]
    assert list(Job.objects.order_by("pk").values_list("state", flat=True)) == ["cancelled", "cancelled", "queued"]
    client.post("/tracks/bulk/", {"action": "retry", "track": ticked})
    assert set(Job.objects.values_list("state", flat=True)) == {"queued"}
    ready = client.post("/tracks/bulk/", {"action": "cancel", "track": [0]}, follow=True)
    assert "tick the tracks" in ready.content.decode()


def test_leaving_out_a_track_that_is_coming_in_ends_its_work(client, curator, coming):
    client.force_login(curator)
    client.post("/tracks/bulk/", {"action": "exclude", "reason": "has vocals", "track": [coming[0].pk]})
    track = Track.objects.get(pk=coming[0].pk)
    assert (track.state, track.reason) == ("excluded", "has vocals")
    assert Job.objects.get(subject_id=track.pk).state == "cancelled"


def test_all_that_fit_the_filters_are_taken_without_ticks(client, curator, coming, make_track, monkeypatch):
    client.force_login(curator)
    other = make_track("Other")
    query = {"action": "exclude", "reason": "has vocals", "all": "1", "query": "search=Coming"}
    monkeypatch.setattr("datasets.views.tracks.MOST_AT_ONCE", 2)
    said = client.post("/tracks/bulk/", query, follow=True).content.decode()
    assert "Only the first 2 tracks" in said and "Done with 2 tracks" in said
    client.post("/tracks/bulk/", query | {"query": "search=Coming&state=waiting"})
    assert list(Track.objects.order_by("pk").values_list("state", flat=True)) == ["excluded"] * 3 + ["ready"]
    other.refresh_from_db()
    assert other.state == "ready"


def test_leaving_out_needs_a_reason_and_ticks(client, curator, make_track):
    client.force_login(curator)
    track = make_track("One")
    assert "Say why" in client.post("/tracks/bulk/", {"action": "exclude", "track": [track.pk]}, follow=True).content.decode()
    assert "tick the tracks" in client.post("/tracks/bulk/", {"action": "exclude", "reason": "x"}, follow=True).content.decode()
    assert (
        "nothing that can be done"
        in client.post("/tracks/bulk/", {"action": "drop", "track": [track.pk]}, follow=True).content.decode()
    )
    track.refresh_from_db()
    assert track.state == "ready"


def test_failed_tracks_are_tried_again_and_the_list_stays_as_it_was_filtered(client, curator, dataset):
    client.force_login(curator)
    track = Track.objects.create(dataset=dataset, title="Lost", source="file", state="failed")
    job = Job.objects.create(
        task="datasets.tasks.convert_track", subject="track", subject_id=track.pk, title="Convert", state="failed"
    )
    answer = client.post("/tracks/bulk/", {"action": "retry", "track": [track.pk], "query": "state=failed&sort=title"})
    assert answer.url == "/tracks/?state=failed&sort=title"
    job.refresh_from_db()
    assert job.state == "queued"


def test_ticked_tracks_go_back_to_the_raters_for_two_more_ratings(client, curator, make_track, rate):
    client.force_login(curator)
    settled, fresh = make_track("Settled"), make_track("Fresh")
    rate(settled, "happy happy happy sad calm")
    settled.refresh_from_db()
    assert (settled.label, settled.agreement) == ("positive", 0.6)
    page = client.post("/tracks/send-back/", {"track": [settled.pk, fresh.pk]}, follow=True).content.decode()
    assert "Done with 1 track." in page and "0 of 5 ratings are in" in page
    row = Consensus.objects.get(track=settled)
    assert (row.state, row.target, row.n_ratings) == ("open", 7, 5)
    settled.refresh_from_db()
    assert (settled.label, settled.agreement) == ("", None)


def test_an_order_that_leaves_tracks_out_says_so(client, curator, make_track):
    client.force_login(curator)
    make_track("Unrated")
    page = client.get("/tracks/?sort=agreement").content.decode()
    assert "No track that fits has a value to sort by yet." in page and "No tracks yet" not in page
    assert "are not in this order" in client.get("/tracks/?sort=duration_s").content.decode()


def test_reasons_and_searches_have_bounds(client, curator, make_track):
    client.force_login(curator)
    track = make_track("One")
    for reason in ("x" * 501, "a\0b"):
        client.post(
            "/tracks/bulk/", {"action": "exclude", "reason": reason, "track": [track.pk], "query": "search=" + "y" * 20_000}
        )
    track.refresh_from_db()
    assert track.state == "ready"
    assert client.get("/tracks/", {"search": "%" * 60_000, "reason": "x" * 60_000}).status_code == 200


def test_fifty_ratings_are_the_most_that_can_be_asked_for(client, curator, make_track, questionnaire):
    client.force_login(curator)
    track = make_track("Known")
    Consensus.objects.filter(track=track).update(n_ratings=49, target=49)
    assert "at most 50" in client.post("/tracks/send-back/", {"track": [track.pk]}, follow=True).content.decode()
    Consensus.objects.filter(track=track).delete()
    assert "0 of 5" in client.post("/tracks/send-back/", {"track": [track.pk]}, follow=True).content.decode()


def test_a_track_is_found_by_its_number_and_by_its_id_in_the_list_it_came_with(client, curator, make_track):
    one, other = make_track("One"), make_track("Other")
    Track.objects.filter(pk=one.pk).update(reference="x9")
    client.force_login(curator)
    for search in ("x9", "X9", str(one.pk)):
        page = client.get("/tracks/", {"search": search}).content.decode()
        assert f'href="/tracks/{one.pk}/"' in page and f'href="/tracks/{other.pk}/"' not in page


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/imports/", "Tracks"),
        ("/jobs/health/", "Tracks"),
        ("/tracks/duplicates/", "Tracks"),
        ("/jobs/", "Jobs"),
        ("/agreement/", "Agreement"),
    ],
)
def test_the_menu_says_where_one_is(client, curator, dataset, address, name):
    client.force_login(curator)
    page = client.get(address, follow=True).content.decode()
    assert re.findall(r'aria-current="page">\s*([\w ]+?)\s*</a>', page.partition("</nav>")[0]) == [name]


@pytest.mark.parametrize("search", ["éclair", "ÉCLAIR", "über", "Żółć", "żółć", "(ÜBER"])
def test_search_knows_small_and_capital_letters_of_every_alphabet(make_track, search):
    make_track("Éclair (ÜBER Żółć")
    assert selectors.tracks_of(search=search).count() == 1


def test_a_track_whose_job_was_cleared_away_is_tried_again(curator, coming):
    lost, video, _other = coming
    Track.objects.update(state="failed", reason="long ago")
    Track.objects.filter(pk=video.pk).update(source="youtube")
    Job.objects.all().delete()
    tracks.retry_track(video, by=curator)
    assert list(Job.objects.values_list("subject_id", "task", "state")) == [(video.pk, tracks.FETCH, "queued")]
    assert Track.objects.get(pk=video.pk).state == "waiting"
    with pytest.raises(WrongState, match="add it, and it takes its place"):
        tracks.retry_track(lost, by=curator)


def test_raters_may_do_none_of_it(client, rater, make_track):
    client.force_login(rater)
    track = make_track("One")
    for address in ("/tracks/bulk/", "/tracks/send-back/"):
        assert client.post(address, {"action": "exclude", "reason": "x", "track": [track.pk]}).status_code == 403
    assert client.get(f"/tracks/{track.pk}/spectrogram.png").status_code == 403


def test_a_retried_track_is_coming_in_and_can_be_stopped(client, curator, coming):
    client.force_login(curator)
    one = [coming[0].pk]
    client.post("/tracks/bulk/", {"action": "cancel", "track": one})
    client.post("/tracks/bulk/", {"action": "retry", "track": one})
    track = Track.objects.get(pk=coming[0].pk)
    assert (track.state, track.reason) == ("waiting", "")
    assert Event.objects.filter(
        subject="track", subject_id=track.pk, to_state="waiting", reason="Tried again", actor=curator
    ).exists()
    client.post("/tracks/bulk/", {"action": "cancel", "track": one})
    assert Track.objects.get(pk=coming[0].pk).state == "failed"


def test_the_work_on_a_track_that_was_left_out_is_not_taken_up_again(client, curator, coming):
    client.force_login(curator)
    job = Job.objects.get(subject_id=coming[0].pk)
    client.post("/tracks/bulk/", {"action": "exclude", "reason": "vocals", "track": [coming[0].pk]})
    assert "take it back in first" in client.post(f"/jobs/{job.pk}/retry/", follow=True).content.decode()
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_doing_it_again_reaches_the_tracks_that_were_too_many(client, curator, coming, monkeypatch):
    client.force_login(curator)
    monkeypatch.setattr("datasets.views.tracks.MOST_AT_ONCE", 2)
    for _ in range(2):
        client.post("/tracks/bulk/", {"action": "exclude", "reason": "vocals", "all": "1", "query": "search=Coming"})
    assert set(Track.objects.values_list("state", flat=True)) == {"excluded"}


def test_a_long_filter_is_never_cut(client, curator, coming, make_track):
    client.force_login(curator)
    query = urlencode({"search": "a" + "😀" * 199, "state": "failed"})
    client.post("/tracks/bulk/", {"action": "exclude", "reason": "x", "all": "1", "query": query})
    assert not Track.objects.filter(state="excluded").exists()


def test_a_track_that_lacks_its_licence_is_given_one_and_comes_in(client, curator, make_track):
    client.force_login(curator)
    track = make_track("Lost")
    client.post(
        f"/tracks/{track.pk}/describe/", {"title": "Lost", "licence": "CC0-1.0", "artist": "", "genre": "pop", "country": ""}
    )
    track.refresh_from_db()
    assert (track.licence, track.genre) == ("CC0-1.0", "pop")
    assert "licence: “" in Event.objects.get(subject="track", subject_id=track.pk, to_state="described").reason
