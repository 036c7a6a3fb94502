"""Files that come piece by piece: in order, once, by whoever began, and complete or not at all."""

import hashlib

import pytest

from datasets.models import AudioFile, Track, Upload, UploadPart
from datasets.services import uploads
from tests.conftest import tone

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_pieces(monkeypatch) -> int:
    monkeypatch.setattr(uploads, "PART_BYTES", 10_000)
    return 10_000


def begin(client, where, content: bytes, **values):
    data = {"dataset": where.pk, "filename": "Piece one.wav", "size": len(content), "artist": "Rara", "licence": "CC0-1.0"}
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
    assert not Upload.objects.exists() and not UploadPart.objects.exists()


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


def test_uploads_that_nobody_goes_on_with_are_forgotten(client, curator, dataset, small_pieces):
    client.force_login(curator)
    begun = begin(client, dataset, tone(1.0)).json()
    piece(client, begun, 0, tone(1.0)[:small_pieces])
    Upload.objects.update(created_at="2020-01-01T00:00:00Z")
    stored = UploadPart.objects.get().file
    uploads.forget_old()
    assert not Upload.objects.exists() and not stored.storage.exists(stored.name)
