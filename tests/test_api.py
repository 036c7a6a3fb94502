"""Everything the pages do, the API does."""

import hashlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from rest_framework.test import APIClient

from annotate.services import raters
from datasets import jobs
from datasets.models import Track
from datasets.services import queue
from datasets.services.tokens import issue_token
from mer.models import Run
from tests.conftest import tone

pytestmark = pytest.mark.django_db


@pytest.fixture
def api():
    def make(person) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {issue_token(person, name='tests')[1]}")
        return client

    return make


def test_next_rate_next_until_none_is_left(api, rater, make_track, questionnaire):
    make_track()
    client = api(rater)
    slot = client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk})
    assert slot.status_code == 200 and set(slot.data) == {
        "id", "questionnaire", "state", "expires_at", "shown_at", "draft", "minimum_s", "audio",
    }  # fmt: skip
    sound = client.get(slot.data["audio"])
    assert sound.status_code == 200 and sound["Content-Type"] == "audio/wav"
    assert b"".join(sound.streaming_content).startswith(b"RIFF")
    rating = client.post("/api/v1/ratings/", {"assignment": slot.data["id"], "word": "calm"})
    assert rating.status_code == 201 and rating.data["label"] == "neutral"
    again = client.post("/api/v1/ratings/", {"assignment": slot.data["id"], "word": "calm"})
    assert again.status_code == 409 and "first answer counts" in again.data["detail"]
    assert client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).status_code == 204
    assert [row["word"] for row in client.get("/api/v1/ratings/").data["results"]] == ["calm"]


def test_bad_ratings_are_400_with_a_reason(api, rater, make_track, questionnaire):
    make_track()
    client = api(rater)
    slot = client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).data
    unknown = client.post("/api/v1/ratings/", {"assignment": slot["id"], "word": "gleeful"})
    assert unknown.status_code == 400 and "gleeful" in unknown.data["detail"]
    assert client.post("/api/v1/ratings/", {"assignment": slot["id"], "word": "calm", "valence": 9}).status_code == 400
    assert (
        client.post("/api/v1/ratings/", {"assignment": "6f1c2b0e-0000-4000-8000-000000000001", "word": "calm"}).status_code == 404
    )
    assert client.post("/api/v1/assignments/", {"questionnaire": 999}).status_code == 400


def test_tracks_come_in_and_are_listed(api, curator, dataset):
    client = api(curator)
    made = client.post("/api/v1/tracks/", {"file": SimpleUploadedFile("a.wav", tone(1.0)), "artist": "A"}, format="multipart")
    assert made.status_code == 202 and made.data["state"] == "waiting"
    twin = client.post("/api/v1/tracks/", {"file": SimpleUploadedFile("b.wav", tone(1.0))}, format="multipart")
    assert twin.status_code == 409 and "already in" in twin.data["detail"]
    for bad in ({}, {"address": "https://evil.example/"}, {"file": SimpleUploadedFile("c.wav", b"")}):
        assert client.post("/api/v1/tracks/", bad, format="multipart").status_code == 400
    assert client.get("/api/v1/tracks/").data["count"] == Track.objects.count() == 1


def test_consensus_freeze_export_train_and_cancel(api, curator, release, questionnaire):
    client = api(curator)
    assert client.get("/api/v1/consensus/").data["count"] == 12
    frozen = client.post(f"/api/v1/questionnaires/{questionnaire.pk}/freeze/", {"name": "v2", "seed": 1})
    assert frozen.status_code == 201 and frozen.data["n_items"] == 12
    assert client.post(f"/api/v1/questionnaires/{questionnaire.pk}/freeze/", {"name": "v2", "seed": 1}).status_code == 409
    assert client.get("/api/v1/releases/v2/").data["content_hash"] == release.content_hash
    export = client.post("/api/v1/releases/v2/export/", {"format": "csv"})
    assert export.status_code == 202 and export.data["job"]["state"] == "queued"
    address = f"/api/v1/exports/{export.data['id']}/"
    assert client.get(address).data["job"]["state"] == "queued" and client.get(f"{address}download/").status_code == 404
    queue.run_job(export.data["job"]["id"], jobs.write_export)
    bundle = client.get(f"{address}download/")
    whole = b"".join(bundle.streaming_content)
    assert client.get(address).data["sha256"] == hashlib.sha256(whole).hexdigest() and bundle["Content-Type"] == "application/zip"
    rest = client.get(f"{address}download/", headers={"range": "bytes=100-"})
    assert rest.status_code == 206 and b"".join(rest.streaming_content) == whole[100:]
    run = client.post("/api/v1/runs/", {"release": "v2", "network": "crnn", "epochs": 2})
    assert run.status_code == 202
    assert client.post("/api/v1/runs/", {"release": "v2", "network": "crnn", "epochs": 2}).status_code == 409
    assert client.post(f"/api/v1/runs/{run.data['id']}/cancel/").data["job"]["state"] == "cancelled"
    assert client.post(f"/api/v1/runs/{run.data['id']}/cancel/").status_code == 409
    assert client.post(f"/api/v1/runs/{run.data['id']}/retry/").data["job"]["state"] == "queued"
    assert client.post("/api/v1/runs/", {"release": "nothing", "network": "cnn"}).status_code == 400
    assert client.get(f"/api/v1/predictions/?run={Run.objects.get().pk}").data["count"] == 0
    for bad in ("abc", "1" * 30):
        assert client.get(f"/api/v1/predictions/?run={bad}").status_code == 400


def test_no_answer_to_a_rater_depends_on_others_ratings(api, rater, make_track, questionnaire, rate):
    track = make_track("Secret Title")
    client = api(rater)
    before = client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).data
    rate(track, "happy happy sad")
    assert client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).data == before
    assert client.get("/api/v1/ratings/").data["count"] == 0
    assert raters.rater_of(rater).ratings.count() == 0


def test_the_schema_is_valid_and_served(client, tmp_path):
    assert client.get("/api/v1/schema/").status_code == 200
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_rulings_faults_and_errata_are_there_for_scripts_too(api, curator, release, questionnaire, make_track, rate):
    client = api(curator)
    track = make_track("Disputed")
    rate(track, "happy happy sad sad calm")
    row = next(row for row in client.get("/api/v1/consensus/?limit=100").json()["results"] if row["track"] == track.pk)
    address = f"/api/v1/consensus/{row['id']}/"
    assert client.post(f"{address}rule/", {"label": "jolly", "reason": "x"}, format="json").status_code == 400
    assert client.post(f"{address}rule/", {"label": "negative", "reason": "A lament"}, format="json").json()["state"] == "ruled"
    assert client.post(f"{address}rule/", {"label": None}, format="json").json()["state"] == "split"
    assert client.post(f"{address}more/").json()["target"] == 7
    item = release.items.first()
    page = f"/api/v1/releases/{release.name}/"
    told = client.post(f"{page}faults/", {"track_id": item.track_id, "text": "Not sad"}, format="json")
    assert (told.status_code, told.json()["state"], told.json()["track_id"]) == (201, "open", item.track_id)
    assert client.post(f"{page}faults/", {"track_id": 99999, "text": "x"}, format="json").status_code in (400, 409)
    assert client.post(f"{page}errata/", {"text": "Two titles were swapped"}, format="json").status_code == 201
    listed = client.get("/api/v1/faults/").json()["results"]
    assert [(row["id"], row["release"], row["state"]) for row in listed] == [(told.json()["id"], release.name, "open")]
    answer = f"/api/v1/faults/{told.json()['id']}/answer/"
    assert client.post(answer, {"answer": "Heard again"}, format="json").status_code == 400
    answered = client.post(answer, {"accepted": True, "answer": "Heard again"}, format="json").json()
    assert (answered["state"], answered["answer"]) == ("accepted", "Heard again")
    assert "Not sad" in release.errata.latest("at").text
    assert client.post(answer, {"accepted": False}, format="json").status_code == 409, "a report is answered once"
