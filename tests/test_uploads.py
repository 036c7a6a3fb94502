"""Files that come piece by piece: in order, once, by whoever began, and complete or not at all."""

import hashlib
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from datasets.errors import DiskFull
from datasets.models import AudioFile, Track, Upload, UploadPart
from datasets.services import uploads
from tests.conftest import tone

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_pieces(monkeypatch) -> int:
    monkeypatch.setattr(uploads, "PART_BYTES", 10_000)
    return 10_000


def begin(client, where, content: bytes, **values):
    data = {
        "dataset": where.pk,
        "filename": "Piece one.wav",
        "size": len(content),
        "mark": hashlib.sha256(content).hexdigest(),
        "artist": "Rara",
        "licence": "CC0-1.0",
    }
    return client.post("/uploads/", data | values)


def piece(client, begun: dict, start: int, content: bytes):
    return client.post(begun["part"], content, content_type="application/octet-stream", headers={"X-Start": str(start)})


def test_pieces_become_one_file_with_its_own_bytes(client, curator, dataset, small_pieces):
    client.force_login(curator)
    content = tone(1.0)
    begun = begin(client, dataset, content).json()
    here = begun["received"]
    assert here == 0
    while here < len(content):
        here = piece(client, begun, here, content[here : here + small_pieces]).json()["received"]
    done = client.post(begun["finish"])
    assert done.status_code == 201
    track = Track.objects.get(pk=done.json()["track"])
    original = AudioFile.objects.get(track=track, kind="original")
    assert (track.title, track.artist, track.licence) == ("Piece one", "Rara", "CC0-1.0")
    assert original.sha256 == hashlib.sha256(content).hexdigest()
    assert not UploadPart.objects.exists()
    again = client.post(begun["finish"])
    assert (again.status_code, again.json()["track"]) == (201, track.pk), "an answer that was lost is given again"
    assert Track.objects.count() == 1


def test_a_broken_upload_goes_on_where_it_stopped(client, curator, dataset, small_pieces):
    client.force_login(curator)
    content = tone(1.0)
    begun = begin(client, dataset, content).json()
    piece(client, begun, 0, content[:small_pieces])
    again = begin(client, dataset, content).json()
    assert again["received"] == small_pieces and again["part"] == begun["part"]


def test_a_piece_that_comes_twice_is_kept_once(client, curator, dataset, small_pieces):
    client.force_login(curator)
    content = tone(1.0)
    begun = begin(client, dataset, content).json()
    for _ in range(2):
        assert piece(client, begun, 0, content[:small_pieces]).json()["received"] == small_pieces
    assert UploadPart.objects.count() == 1


@pytest.mark.parametrize(("start", "size"), [(5_000, 100), (0, 0), (0, 10_001), (40_000, 10_000)])
def test_a_piece_that_does_not_fit_is_refused_and_says_where_to_go_on(client, curator, dataset, small_pieces, start, size):
    client.force_login(curator)
    begun = begin(client, dataset, tone(1.0)).json()
    answer = piece(client, begun, start, b"x" * size)
    assert answer.status_code in (400, 409)
    assert not UploadPart.objects.exists()


def test_what_is_not_complete_is_no_track(client, curator, dataset, small_pieces):
    client.force_login(curator)
    content = tone(1.0)
    begun = begin(client, dataset, content).json()
    piece(client, begun, 0, content[:small_pieces])
    answer = client.post(begun["finish"])
    assert answer.status_code == 409 and "not complete" in answer.json()["reason"]
    assert not Track.objects.exists() and Upload.objects.exists()


def test_a_file_that_is_there_is_refused_by_name_and_its_pieces_go(client, curator, dataset, small_pieces):
    client.force_login(curator)
    content = tone(0.1)
    for status in (201, 409):
        begun = begin(client, dataset, content).json()
        piece(client, begun, 0, content)
        assert client.post(begun["finish"]).status_code == status
    assert Track.objects.count() == 1 and not UploadPart.objects.exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"size": 0}, "is empty"), ({"size": 10**12}, "at most"), ({"size": "many"}, "whole number"), ({"dataset": 99}, "dataset"), ({"filename": ""}, "filename")],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_before_any_piece(client, curator, dataset, values, reason):
    client.force_login(curator)
    answer = begin(client, dataset, b"", **values)
    assert answer.status_code == 400 and reason in answer.json()["reason"]


def test_nobody_goes_on_with_somebody_elses_upload(client, curator, admin_person, rater, dataset):
    client.force_login(curator)
    begun = begin(client, dataset, tone(0.1)).json()
    client.force_login(admin_person)
    assert piece(client, begun, 0, b"x").status_code == 404
    client.force_login(rater)
    assert piece(client, begun, 0, b"x").status_code == 403
    client.logout()
    assert client.post(begun["finish"]).status_code == 302


def sent(client, dataset, content: bytes) -> dict:
    begun = begin(client, dataset, content).json()
    here = begun["received"]
    while here < len(content):
        here = piece(client, begun, here, content[here : here + uploads.PART_BYTES]).json()["received"]
    return begun


def test_another_file_of_the_same_name_and_size_is_another_upload(client, curator, dataset, small_pieces):
    client.force_login(curator)
    one, other = tone(1.0, seed=1), tone(1.0, seed=2)
    assert len(one) == len(other)
    piece(client, begin(client, dataset, one).json(), 0, one[:small_pieces])
    done = client.post(sent(client, dataset, other)["finish"]).json()
    assert AudioFile.objects.get(track=done["track"]).sha256 == hashlib.sha256(other).hexdigest()


@pytest.mark.parametrize(
    "fault", [OSError(5, "Input/output error"), OperationalError("database is locked"), DiskFull("The disk is full")]
)
def test_a_fault_that_may_pass_keeps_every_piece(client, curator, dataset, small_pieces, monkeypatch, fault):
    client.force_login(curator)
    begun = sent(client, dataset, tone(1.0))

    def fail(**values):
        raise fault

    client.raise_request_exception = False
    with monkeypatch.context() as patched:
        patched.setattr(uploads.tracks, "add_file", fail)
        answer = client.post(begun["finish"])
        assert answer.status_code in (409, 500, 503) and "media" not in answer.content.decode()
    assert client.post(begun["finish"]).status_code == 201


def test_two_that_finish_at_once_make_one_track(client, curator, dataset, small_pieces, monkeypatch):
    client.force_login(curator)
    begun = sent(client, dataset, tone(1.0))
    join, answers = uploads._join, []

    def meanwhile(upload, by):
        if not answers:
            answers.append(client.post(begun["finish"]).status_code)
        return join(upload, by)

    monkeypatch.setattr(uploads, "_join", meanwhile)
    answers.append(client.post(begun["finish"]).status_code)
    assert answers == [409, 201] and Track.objects.count() == 1


def test_whoever_died_while_joining_gives_it_back(client, curator, dataset, small_pieces):
    client.force_login(curator)
    begun = sent(client, dataset, tone(1.0))
    Upload.objects.update(state="joining", joining_since=timezone.now())
    assert client.post(begun["finish"]).status_code == 409
    Upload.objects.update(joining_since=timezone.now() - timedelta(hours=1))
    assert client.post(begun["finish"]).status_code == 201


def test_pieces_whose_upload_is_gone_are_removed(client, curator, dataset, small_pieces):
    client.force_login(curator)
    sent(client, dataset, tone(1.0))
    stored = [part.file for part in UploadPart.objects.all()]
    Upload.objects.all().delete()
    uploads.forget_old()
    assert not any(file.storage.exists(file.name) for file in stored)


def test_only_bytes_are_a_piece(client, curator, dataset):
    client.force_login(curator)
    begun = begin(client, dataset, tone(0.1)).json()
    for values in ({"content_type": "text/plain"}, {"content_type": "application/octet-stream", "headers": {"X-Start": "x"}}):
        assert client.post(begun["part"], b"x", **{"headers": {"X-Start": "0"}} | values).status_code == 400
    assert not UploadPart.objects.exists()


def test_uploads_that_nobody_goes_on_with_are_forgotten(client, curator, dataset, small_pieces):
    client.force_login(curator)
    begun = begin(client, dataset, tone(1.0)).json()
    piece(client, begun, 0, tone(1.0)[:small_pieces])
    Upload.objects.update(created_at="2020-01-01T00:00:00Z")
    stored = UploadPart.objects.get().file
    uploads.forget_old()
    assert not Upload.objects.exists() and not stored.storage.exists(stored.name)
