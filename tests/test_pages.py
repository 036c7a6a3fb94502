"""The pages do what they say; bad input comes back as a sentence."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotate.models import Consensus, Rating
from datasets import jobs
from datasets.models import Event, Export, Job, Release, Track
from datasets.services import queue
from datasets.services.tracks import default_dataset
from mer.models import Run
from tests.conftest import tone

pytestmark = pytest.mark.django_db


def text(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_a_rater_rates_track_after_track_and_is_thanked(client, rater, make_track, questionnaire):
    make_track("Secret Title"), make_track("Other Title")
    client.force_login(rater)
    page = client.get("/rate/", follow=True)
    assert "1 of 2" in text(page) and "Title" not in text(page)
    for expected in ("2 of 2", "Thank you"):
        action = re.search(r'action="(/assignments/[\w-]+/)"', text(page)).group(1)
        page = client.post(action, {"word": "happy"}, follow=True)
        assert expected in text(page)
    assert Rating.objects.count() == 2


def test_the_sound_comes_by_range_and_names_nothing(client, rater, make_track, questionnaire):
    track = make_track("Secret Title")
    client.force_login(rater)
    page = client.get("/rate/", follow=True)
    address = re.search(r'action="(/assignments/[\w-]+/)"', text(page)).group(1) + "audio/"
    whole = track.files.get(kind="wav").file.read()
    full = client.get(address)
    assert b"".join(full.streaming_content) == whole and full["Accept-Ranges"] == "bytes"
    part = client.get(address, headers={"range": "bytes=100-199"})
    assert part.status_code == 206 and part["Content-Range"] == f"bytes 100-199/{len(whole)}"
    assert b"".join(part.streaming_content) == whole[100:200]
    tail = client.get(address, headers={"range": "bytes=-50"})
    assert b"".join(tail.streaming_content) == whole[-50:]
    assert client.get(address, headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    assert client.get(address, headers={"range": "bytes=5-2"}).status_code == 200
    assert client.get(address, headers={"range": f"bytes={'9' * 5000}-"}).status_code == 200
    assert "Secret" not in str(full.headers)


def test_a_player_that_asks_for_everything_gets_a_megabyte_at_a_time(client, curator, make_track):
    track = make_track(seconds=30)
    client.force_login(curator)
    part = client.get(f"/tracks/{track.pk}/audio/", headers={"range": "bytes=0-"})
    assert part.status_code == 206 and part["Content-Length"] == str(1 << 20)
    assert part["Content-Range"] == f"bytes 0-{(1 << 20) - 1}/{track.files.get(kind='wav').size}"


@pytest.mark.database
@pytest.mark.parametrize(
    "address", ["/tracks/?search=%00", "/tracks/?state=%00", "/tracks/?dataset=%00", "/jobs/?state=%00", "/tracks/?page=%00"]
)
def test_a_nul_in_a_filter_breaks_nothing(client, curator, dataset, address):
    client.force_login(curator)
    assert client.get(address).status_code == 200


def test_files_of_a_stranger_or_a_rater_are_not_taken_in(client, rater, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    client.force_login(rater)
    for address in ("/login/", "/tracks/add/", "/rate/"):
        response = client.post(
            address, {"recordings": [SimpleUploadedFile("big.wav", b"x" * 5_000_000)], "username": "x", "password": "y"}
        )
        assert response.status_code in (200, 302, 400, 403, 405)
    assert list(tmp_path.iterdir()) == []


def test_a_hundred_and_one_files_at_once_come_in(client, curator, dataset):
    client.force_login(curator)
    files = [SimpleUploadedFile(f"{number}.wav", tone(0.6, seed=number)) for number in range(101)]
    assert "101 tracks are coming in" in text(upload(client, *files))


@pytest.mark.parametrize("address", ["http://[abc", "[", "https://youtube.com℀/watch?v=aaaaaaaaaaa"])
def test_an_address_that_is_none_is_refused(client, curator, address):
    client.force_login(curator)
    assert "is not" in text(upload(client, address=address)) and not Track.objects.exists()


@pytest.mark.parametrize(
    "address",
    ["datasets/release/999/export/", "datasets/release/abc/export/", "mer/run/999/train_again/", "mer/run/x/open_page/",
     "annotate/questionnaire/abc/freeze/", "datasets/track/abc/open_page/"],
)  # fmt: skip
def test_admin_actions_on_unknown_rows_are_404(client, admin_person, address):
    client.force_login(admin_person)
    found = [client.get(f"/admin/{address}").status_code, client.get(f"/admin/{address.replace('_', '-')}").status_code]
    assert 404 in found and 500 not in found


def test_a_word_not_in_the_questionnaire_and_a_second_rating_are_told(client, rater, make_track, questionnaire):
    make_track()
    client.force_login(rater)
    page = client.get("/rate/", follow=True)
    action = re.search(r'action="(/assignments/[\w-]+/)"', text(page)).group(1)
    assert "is not a word of this questionnaire" in text(client.post(action, {"word": "gleeful"}, follow=True))
    client.post(action, {"word": "happy"})
    assert "your first answer counts" in text(client.post(action, {"word": "sad"}, follow=True))
    assert Rating.objects.get().word.key == "happy"


def upload(client, *files: SimpleUploadedFile, **values):
    return client.post("/tracks/add/", {"dataset": default_dataset().pk, "recordings": list(files), **values}, follow=True)


def test_several_files_come_in_and_each_refused_one_is_named(client, curator):
    client.force_login(curator)
    good = SimpleUploadedFile("good.wav", tone(1.0))
    page = upload(client, good, SimpleUploadedFile("empty.mp3", b""), SimpleUploadedFile("twin.wav", tone(1.0)))
    assert "1 track is coming in" in text(page)
    assert "empty.mp3 is empty" in text(page) and "twin.wav is already in" in text(page)
    assert Track.objects.get().title == "good"


def test_a_file_over_the_limit_is_refused_by_name_while_it_arrives(client, curator, settings):
    settings.UPLOAD_MAX_MB = 1
    client.force_login(curator)
    page = upload(client, SimpleUploadedFile("huge.wav", b"x" * (2 << 20)), SimpleUploadedFile("good.wav", tone(1.0)))
    assert "huge.wav is larger than 1 MB" in text(page) and Track.objects.get().title == "good"


def test_an_address_that_is_not_youtube_s_is_refused(client, curator):
    client.force_login(curator)
    assert "is not a YouTube address" in text(upload(client, address="https://evil.example/watch?v=abcdefghijk"))
    assert "Choose at least one audio file" in text(upload(client))


def test_a_title_is_shown_as_text_never_as_html(client, curator, make_track):
    track = make_track("<script>alert(1)</script>", artist="<img src=x onerror=alert(1)>")
    client.force_login(curator)
    for address in ("/tracks/", f"/tracks/{track.pk}/"):
        page = text(client.get(address))
        assert "<script>alert" not in page and "<img src=x" not in page and "&lt;script&gt;alert(1)" in page


def test_a_failed_track_says_why_and_offers_to_try_again(client, curator, dataset):
    client.force_login(curator)
    upload(client, SimpleUploadedFile("noise.mp3", b"not audio" * 100))
    queue.run_job(Job.objects.get(task="datasets.tasks.convert_track").pk, jobs.convert_track)
    track = Track.objects.get()
    page = text(client.get(f"/tracks/{track.pk}/"))
    assert "not a recording that can be decoded" in page and "Try again" in page
    client.post(f"/jobs/{Job.objects.latest('pk').pk}/retry/")
    assert Job.objects.latest("pk").state == "queued"


def test_the_track_page_shows_history_and_panels(client, curator, make_track, rate):
    track = make_track()
    rate(track, "happy happy happy sad calm")
    client.force_login(curator)
    page = text(client.get(f"/tracks/{track.pk}/"))
    assert track.sha256 in page and "Brought in from Piece.wav" in page
    assert "agreement 60%" in text(client.get(f"/tracks/{track.pk}/ratings/"))
    assert "being made" in text(client.get(f"/tracks/{track.pk}/spectrograms/"))


def test_excluding_needs_a_reason_and_can_be_undone(client, curator, make_track):
    track = make_track()
    client.force_login(curator)
    assert "Say why" in text(client.post(f"/tracks/{track.pk}/exclude/", {"reason": ""}, follow=True))
    assert "has vocals" in text(client.post(f"/tracks/{track.pk}/exclude/", {"reason": "has vocals"}, follow=True))
    assert Event.objects.filter(subject="track", to_state="excluded", actor=curator).exists()
    client.post(f"/tracks/{track.pk}/restore/")
    assert Track.objects.get().state == "ready"


def test_freezing_on_its_page(client, curator, make_track, rate, questionnaire):
    client.force_login(curator)
    address = f"/agreement/{questionnaire.pk}/freeze/"
    assert "nothing to freeze" in text(client.post(address, {"name": "v1", "seed": 1}))
    rate(make_track(), "happy happy happy sad calm")
    assert "is frozen" in text(client.post(address, {"name": "v1", "seed": 1}, follow=True))
    assert "A release named “v1” exists" in text(client.post(address, {"name": "v1", "seed": 1}))
    assert Release.objects.get().items.count() == 1


def test_the_release_page_its_bundle_and_its_runs(client, curator, release):
    client.force_login(curator)
    page = text(client.get("/releases/songs-v1/"))
    assert release.content_hash in page and "80/10/10" in page
    assert "is being written" in text(client.post("/releases/songs-v1/export/", {"format": "csv"}, follow=True))
    assert "already queued" in text(client.post("/releases/songs-v1/export/", {"format": "csv"}, follow=True))
    assert "is no export format" in text(client.post("/releases/songs-v1/export/", {"format": "exe"}, follow=True))
    export = Export.objects.get()
    assert client.get(f"/exports/{export.pk}/").status_code == 404
    queue.run_job(export.job_id, jobs.write_export)
    assert client.get(f"/exports/{export.pk}/")["Content-Disposition"] == 'attachment; filename="songs-v1-csv.zip"'
    assert "Nothing to compare yet" in text(client.get("/releases/songs-v1/compare/"))


def test_training_from_the_page(client, curator, release):
    client.force_login(curator)
    form = {"network": "cnn", "input": "full", "recipe": "robust", "epochs": 3, "seed": 7}
    assert "The run is queued" in text(client.post("/releases/songs-v1/train/", form, follow=True))
    assert "queued or running already" in text(client.post("/releases/songs-v1/train/", form))
    run = Run.objects.get()
    assert (run.params["epochs"], run.seed, run.release_hash) == (3, 7, release.content_hash)
    assert "Cancel" in text(client.get(f"/runs/{run.pk}/"))
    client.post(f"/jobs/{run.job_id}/cancel/")
    assert Run.objects.get().state == "cancelled"
    for bad in ({"network": "resnet"}, {"epochs": 0}, {"seed": -1}):
        assert 'class="errorlist"' in text(client.post("/releases/songs-v1/train/", form | bad))
    assert Run.objects.count() == 1


@pytest.mark.parametrize("address", ["/tracks/", "/agreement/", "/releases/", "/runs/", "/jobs/", "/rate/"])
def test_empty_pages_say_what_to_do_next(client, curator, address):
    client.force_login(curator)
    page = client.get(address, follow=True)
    assert page.status_code == 200 and 'class="empty"' in text(page)


def test_unknown_pages_are_told_kindly(client, curator):
    client.force_login(curator)
    for address in ("/tracks/999/", "/releases/nothing/", "/runs/999/", "/nowhere/"):
        response = client.get(address)
        assert response.status_code == 404 and "There is nothing here" in text(response)


def test_the_home_page_counts_the_steps(client, curator, release):
    client.force_login(curator)
    page = text(client.get("/"))
    assert "12 converted and rateable" in page and "Work in progress" in page
    assert Consensus.objects.filter(state="agreed").count() == 12


def test_the_rating_page_goes_on_to_the_next_piece_without_loading_itself_again(client, rater, make_track, questionnaire):
    first, second = make_track("One"), make_track("Two")
    client.force_login(rater)
    page = client.get("/rate/", follow=True)
    address = page.request["PATH_INFO"]
    ask = {"headers": {"accept": "application/json"}}
    piece = client.get(address, **ask).json()
    assert f'action="{piece["url"]}"' in text(page) and piece["position"] == "1 of 2"
    assert client.post(piece["url"], {"word": "happy"}, **ask).status_code == 201
    following = client.get(address, **ask).json()
    assert following["url"] != piece["url"] and following["position"] == "2 of 2" and following["title"] == ""
    assert len(following["peaks"]) == 400 and following["duration_s"] > 0
    client.post(following["url"], {"word": "sad"}, **ask)
    assert client.get(address, **ask).status_code == 204
    assert set(Rating.objects.values_list("track_id", "word__key")) in (
        {(first.pk, "happy"), (second.pk, "sad")},
        {(first.pk, "sad"), (second.pk, "happy")},
    )


def test_an_edited_questionnaire_changes_the_edition_that_open_pages_compare(client, rater, make_track, questionnaire):
    make_track()
    client.force_login(rater)
    address = client.get("/rate/", follow=True).request["PATH_INFO"]
    editions = []
    for _ in range(2):
        editions.append(client.get(address, headers={"accept": "application/json"}).json()["edition"])
        questionnaire.ask_confidence = True
        questionnaire.save()
    assert editions[0] != editions[1]
