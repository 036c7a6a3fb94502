"""A release that another studio froze is brought in with its tracks and ratings, and goes out again byte for byte."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from django.core.files import File
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command

from annotate.models import Consensus, Questionnaire, Rating
from annotate.services import consensus, freezing, questionnaires
from datasets import jobs, selectors
from datasets.methods import bundles
from datasets.models import AudioFile, Dataset, Job, Label, Release, ReleaseImport, Track
from datasets.services import arrivals, queue, releases, tracks

pytestmark = pytest.mark.django_db  # on both databases where it is stored; what is refused is refused before one is asked


def export(release: Release, format: str = "studio") -> bytes:
    asked = releases.request_export(release, format=format, wake_worker=False)
    assert queue.run_job(asked.job_id, jobs.write_export).state == "done"
    asked.refresh_from_db()
    return asked.file.read()


@pytest.fixture
def release(release):
    """One of whose raters set points and ticked boxes, and with an erratum."""
    release.ratings.filter(pseudonym="R0").update(valence=0.5, arousal=-0.25, confidence=3, known=True, vocals=False)
    release.content_hash = releases.content_hash(release)
    release.save()
    releases.add_erratum(release, "The third track is a duet.", by=None)
    return release


@pytest.fixture
def leave():
    """Forgets a studio's tracks and release, as in one that never had them; other tracks take their numbers meanwhile."""

    def go(dataset: Dataset) -> None:
        Release.objects.all().delete()
        Job.objects.all().delete()
        Rating.objects.all().delete()
        Consensus.objects.all().delete()
        Track.objects.all().delete()
        Dataset.objects.all().delete()
        other = tracks.create_dataset(name="Other music")
        Track.objects.create(dataset=other, title="x", source="file", state="ready")

    return go


def arrive(content: bytes, dataset: Dataset | None = None) -> tuple[ReleaseImport, Job]:
    file = File(ContentFile(content), name="b.zip")
    file.size = len(content)
    arrival = arrivals.take(file, "songs.zip", dataset=dataset, by=None, wake_worker=False)
    job = queue.run_job(arrivals.job_of(arrival).pk, jobs.bring_in_release)
    arrival.refresh_from_db()
    return arrival, job


@pytest.mark.database
@pytest.mark.parametrize("format", ["studio", "jsonl", "parquet"])
def test_a_release_that_was_brought_in_goes_out_as_the_same_bytes(release, leave, format):
    content, table = export(release, format), export(release, "csv" if format == "studio" else "jsonl")
    erratum = list(release.errata.values_list("text", "at"))
    leave(release.dataset)
    arrival, job = arrive(content)
    assert job.state == "done", job.reason
    again = arrival.release
    assert again.content_hash == release.content_hash == releases.content_hash(again)
    assert {item.number for item in again.items.all()} != set(again.items.values_list("track_id", flat=True))
    assert export(again, format) == content
    said = Rating.objects.filter(known=True).values_list("valence", "arousal", "confidence", "vocals")
    assert set(said) == {(0.5, -0.25, 3, False)} and len(said) == 12
    assert list(again.errata.values_list("text", "at")) == list(erratum)
    if format == "studio":
        asked = releases.request_export(again, format="csv", wake_worker=False)
        refused = queue.run_job(asked.job_id, jobs.write_export)
        assert refused.state == "failed" and "12 recordings of “songs-v1” are not converted yet" in refused.reason
        for waiting in Job.objects.filter(state="queued", task=tracks.CONVERT):
            assert queue.run_job(waiting.pk, jobs.convert_track).state == "done"
        assert export(again, "csv") == table
    else:
        assert arrival.without_audio == again.items.count()


@pytest.mark.database
def test_its_tracks_come_with_their_recordings_and_its_ratings_count(release, leave):
    content = export(release)
    originals = {row.track.title: row.file.read() for row in AudioFile.objects.filter(kind="original").select_related("track")}
    labels = {item.title: item.label for item in release.items.all()}
    leave(release.dataset)
    arrival, _job = arrive(content)
    mine = Track.objects.filter(dataset=arrival.dataset)
    assert (arrival.dataset.name, mine.count(), arrival.without_audio) == ("Songs", 12, 0)
    for job in Job.objects.filter(state="queued", task=tracks.CONVERT):
        assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    assert set(mine.values_list("state", flat=True)) == {"ready"}
    assert {track.title: track.files.get(kind="original").file.read() for track in mine} == originals
    assert Rating.objects.filter(track__in=mine, not_counted="").count() == 60
    rows = Consensus.objects.filter(track__in=mine).select_related("label", "track")
    assert {row.track.title: row.label.key for row in rows if row.label} == labels
    questionnaire = rows[0].questionnaire
    again = freezing.freeze(questionnaire, name="songs-v2", seed=3)
    kept = {item.track_id: part for item, part in parts(arrival.release)}
    assert {item.track_id: part for item, part in parts(again)} == kept, "a track keeps its part in later versions"


def parts(release: Release):
    members = release.splits.order_by("id").first().members.select_related("item")
    return [(member.item, member.part) for member in members]


@pytest.mark.database
def test_a_later_version_goes_to_the_tracks_that_are_here(release, questionnaire, leave):
    first, second = export(release), export(freezing.freeze(questionnaire, name="songs-v2", seed=3))
    leave(release.dataset)
    arrival, _job = arrive(first)
    later, job = arrive(second, dataset=arrival.dataset)
    assert job.state == "done", job.reason
    assert Track.objects.filter(dataset=arrival.dataset).count() == 12
    assert Rating.objects.filter(questionnaire__dataset=arrival.dataset).count() == 60
    assert list(later.release.items.values_list("track", flat=True)) == list(arrival.release.items.values_list("track", flat=True))


@pytest.mark.database
def test_a_second_attempt_goes_on_with_the_tracks_that_are_missing(release, leave, monkeypatch):
    content = export(release)
    leave(release.dataset)
    n_calls = 0
    bring_in = arrivals.bring_in_track

    def dies(*args, **values):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 6:
            raise OSError("power cut")
        return bring_in(*args, **values)

    monkeypatch.setattr(arrivals, "bring_in_track", dies)
    arrival, job = arrive(content)
    assert job.state == "failed" and arrival.release is None
    assert Track.objects.filter(dataset=arrival.dataset).count() == 5
    queue.retry(job)
    assert queue.run_job(job.pk, jobs.bring_in_release).state == "done"
    assert (
        Track.objects.filter(dataset=arrival.dataset).count() == 12
        and Dataset.objects.filter(name__startswith="Songs").count() == 1
    )


def test_a_file_that_did_not_come_along_takes_its_place_when_it_is_added(release, leave):
    release.items.update(licence="")
    Release.objects.filter(pk=release.pk).update(content_hash=releases.content_hash(release))
    release.refresh_from_db()
    content = export(release)
    original = AudioFile.objects.filter(kind="original").first()
    title, recording = original.track.title, original.file.read()
    leave(release.dataset)
    arrival, _job = arrive(content)
    assert arrival.without_audio == 12
    job = tracks.add_file(
        dataset=arrival.dataset, file=File(ContentFile(recording, name="x.wav")), filename="x.wav", wake_worker=False
    )
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    track = Track.objects.get(pk=job.subject_id)
    assert (track.title, track.state) == (title, "ready") and arrival.release.items.filter(track=track).exists()


def test_a_video_is_fetched_again_by_its_id_alone(release, leave):
    release.items.update(licence="", source_url="https://www.youtube.com/watch?v=abcdefghijk", external_id="")
    first = release.items.first()
    release.items.filter(pk=first.pk).update(external_id="abcdefghijk")
    Release.objects.filter(pk=release.pk).update(content_hash=releases.content_hash(release))
    release.refresh_from_db()
    content = export(release)
    leave(release.dataset)
    arrival, _job = arrive(content)
    assert Job.objects.filter(task=tracks.FETCH).count() == 1
    assert Track.objects.filter(dataset=arrival.dataset, source="youtube", state="waiting").count() == 1


def test_a_bundle_from_before_points_and_errata_travelled_comes_in(release, leave, tmp_path):
    """As the first version wrote it: fewer columns, nothing of errata, and a hash over fewer things."""
    beside = ("valence", "arousal", "confidence", "known", "vocals")
    release.ratings.update(**dict.fromkeys(beside))
    release.hash_version = 1
    release.content_hash = releases.content_hash(release)
    release.save()

    def without(text: bytes) -> bytes:
        rows = (json.loads(line) for line in text.splitlines())
        return b"".join(json.dumps({k: v for k, v in row.items() if k not in beside}).encode() + b"\n" for row in rows)

    def older(text: bytes) -> bytes:
        said = json.loads(text)
        del said["errata"], said["release"]["hash_version"]
        return json.dumps(said).encode()

    content = changed(export(release), tmp_path, "ratings.jsonl", without)
    content = changed(content, tmp_path, "record.json", older)
    leave(release.dataset)
    arrival, job = arrive(content)
    assert job.state == "done", job.reason
    assert (arrival.release.hash_version, arrival.release.content_hash) == (1, release.content_hash)


@pytest.mark.database
def test_another_rule_and_a_ruling_over_raters_who_agree_come_with_the_release(make_track, rate, questionnaire, leave, curator):
    Questionnaire.objects.filter(pk=questionnaire.pk).update(raters_per_track=3)
    made = [make_track(f"Piece {number}", licence="CC0-1.0") for number in range(4)]
    Consensus.objects.update(target=3)
    for track in made:
        rate(track, "happy happy sad")
    label = Label.objects.get(dataset=questionnaire.dataset, key="negative")
    row = Consensus.objects.select_related("questionnaire").get(track=made[0])
    questionnaires.rule_on(row, label=label, reason="minor key", by=curator, over=True)
    content = export(freezing.freeze(Questionnaire.objects.get(), name="songs-v1", seed=1))
    leave(questionnaire.dataset)
    arrival, job = arrive(content)
    assert job.state == "done", job.reason
    for job in Job.objects.filter(state="queued", task=tracks.CONVERT):
        assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    assert Questionnaire.objects.get(dataset=arrival.dataset).raters_per_track == 3
    rows = Consensus.objects.filter(track__dataset=arrival.dataset).select_related("label", "track")
    assert {row.track.title: (row.state, row.label.key) for row in rows} == {
        "Piece 0": ("ruled", "negative"), **{f"Piece {number}": ("agreed", "positive") for number in (1, 2, 3)},
    }  # fmt: skip
    again = freezing.freeze(rows[0].questionnaire, name="songs-v2", seed=1)
    assert selectors.labels_of(again) == selectors.labels_of(arrival.release)


@pytest.mark.database
def test_a_bundle_that_broke_off_for_good_leaves_its_name_free(release, leave, monkeypatch):
    content = export(release)
    leave(release.dataset)

    def breaks(*args, **kwargs):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(arrivals, "_store_splits", breaks)
        _arrival, job = arrive(content)
        assert job.state == "failed" and Release.every.filter(is_complete=False).count() == 1
    arrival, job = arrive(content)
    assert (job.state, arrival.release.name) == ("done", "songs-v1"), job.reason
    assert Release.every.count() == 1


def test_a_track_that_is_here_with_another_stretch_is_not_taken_for_it(release, leave):
    first = export(release)
    leave(release.dataset)
    arrival, _job = arrive(first)
    track = arrival.release.items.first().track
    Track.objects.filter(pk=track.pk).update(start_s=1.0, end_s=2.0)
    Release.objects.all().delete()
    before = Track.objects.count()
    _again, job = arrive(first, dataset=arrival.dataset)
    assert job.state == "failed" and "with another stretch of the recording" in job.reason
    assert Track.objects.count() == before


def changed(content: bytes, tmp_path: Path, name: str, edit) -> bytes:
    """The bundle with one file edited, and its list of checksums made to fit."""
    path = tmp_path / "edited.zip"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as target:
        target.writestr("x", content)
    (tmp_path / "in.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "in.zip") as source:
        folder = source.namelist()[0].split("/")[0]
        writer = bundles.BundleWriter(path, folder)
        for entry in source.namelist():
            inner = entry.split("/", 1)[1]
            if inner != bundles.SUMS:
                writer.add_bytes(inner, edit(source.read(entry)) if inner == name else source.read(entry))
        writer.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "edit", "reason"),
    [
        (
            "tracks.jsonl",
            lambda text: text.replace(b'"label": "positive"', b'"label": "negative"', 1),
            "none that a track can have",
        ),
        ("tracks.jsonl", lambda text: text.replace(b'"title": "Piece 1"', b'"title": "Piece X"', 1), "content hash"),
        ("tracks.jsonl", lambda text: text.replace(b'"duration_s": ', b'"duration_s": "x", "d": ', 1), "duration_s"),
        ("tracks.jsonl", lambda text: text.replace(b'"agreement": 0.8', b'"agreement": 0.99', 1), "none that a track can have"),
        (
            "tracks.jsonl",
            lambda text: text.replace(b'"share_positive": 0.8', b'"share_positive": 0.7', 1),
            "none that a track can have",
        ),
        ("tracks.jsonl", lambda text: text.replace(b'"duration_s": ', b'"duration_s": NaN, "d": ', 1), "no JSON object"),
        ("tracks.jsonl", lambda text: b"[" * 100_000, "no JSON object"),
        ("ratings.jsonl", lambda text: text.replace(b'"track_id": ', b'"track_id": 9', 1), "not in the release"),
        ("ratings.jsonl", lambda text: text.replace(b'"R1"', b'"R0"', 1), "twice"),
        ("ratings.jsonl", lambda text: text.replace(b'"label": "', b'"label": "no', 1), "no word or label"),
        ("ratings.jsonl", lambda text: text.replace(b'"rated_at": "20', b'"rated_at": "00', 1), "no value for rated_at"),
        ("ratings.jsonl", lambda text: text.split(b"\n", 1)[1], "not those of its ratings"),
        ("ratings.jsonl", lambda text: text.replace(b'"valence": 0.5', b'"valence": 1.5', 1), "less than or equal to 1"),
        ("ratings.jsonl", lambda text: text.replace(b'"valence": 0.5', b'"valence": 0.6', 1), "content hash"),
        ("ratings.jsonl", lambda text: text.replace(b'"known": true', b'"known": 1', 1), "no value for known"),
        ("record.json", lambda text: re.sub(rb'"alpha": [-\d.]+', b'"alpha": 0.99', text), "content hash"),
        ("record.json", lambda text: text.replace(b'"hash_version": 2', b'"hash_version": 1'), "content hash"),
        ("record.json", lambda text: re.sub(rb'"at": "[^"]+', b'"at": "yesterday', text), "no moment"),
        ("splits.jsonl", lambda text: b"", "content hash"),
        ("splits.jsonl", lambda text: text.replace(b'"train"', b'"zzz"', 1), "no part of a hold-out"),
        ("splits.jsonl", lambda text: text.split(b"\n", 1)[0] + b"\n" + text, "twice in a split"),
        ("tracks.jsonl", lambda text: text.split(b"\n", 1)[0] + b"\n" + text, "twice in the table"),
        (
            "tracks.jsonl",
            lambda text: text.replace(b'"source_url": ""', b'"source_url": "javascript:alert(1)"', 1),
            "none that a track",
        ),
        ("tracks.jsonl", lambda text: text.replace(b'"agreement": 0.', b'"agreement": 7.', 1), "none that a track"),
        ("tracks.jsonl", lambda text: text.replace(b'"title": "P', b'"title": "\\ud800P', 1), "no value for title"),
        ("record.json", lambda text: text.replace(b'"rule"', b'"rul"'), "'rule' is a required property"),
        ("record.json", lambda text: b"[]", "is not of type 'object'"),
        ("record.json", lambda text: b"[" * 100_000, "no JSON text"),
        ("record.json", lambda text: text.replace(b'"synthetic": false', b'"synthetic": "no"'), "$.dataset.synthetic"),
        ("record.json", lambda text: text.replace(b'"name": "songs-v1"', b'"name": "../x"'), "$.release.name"),
        ("record.json", lambda text: text.replace(b'"left_out": []', b'"left_out": [5]'), "$.release.left_out[0]"),
        ("record.json", lambda text: text.replace(b'"alpha": ', b'"alpha": NaN, "a": '), "no JSON text"),
        ("record.json", lambda text: text.replace(b'"frozen_at": "20', b'"frozen_at": "29'), "no moment"),
        ("record.json", lambda text: text.replace(b'"seed": ', b'"seed": -'), "less than the minimum"),
        ("record.json", lambda text: text.replace(b'"key": "happy"', b'"key": "ha ppy"'), "$.labels[0]"),
    ],
)
def test_a_bundle_that_was_changed_is_refused_and_leaves_nothing(release, leave, tmp_path, name, edit, reason):
    content = changed(export(release), tmp_path, name, edit)
    leave(release.dataset)
    arrival, job = arrive(content)
    assert job.state == "failed" and reason in job.reason
    assert arrival.release is None and not Release.objects.exists() and Track.objects.count() == 1 and Dataset.objects.count() == 1


@pytest.mark.parametrize(
    ("content", "reason"), [(b"no zip" * 100, "cannot be read as a bundle"), (b"PK\x05\x06" + b"\0" * 18, "holds no SHA256SUMS")]
)
def test_what_is_no_bundle_is_refused_in_words(content, reason):
    _arrival, job = arrive(content)
    assert job.state == "failed" and reason in job.reason and job.reason.startswith("songs.zip")


def test_a_bundle_of_csv_tables_is_refused_with_the_way_out(release, leave):
    content = export(release, "csv")
    leave(release.dataset)
    _arrival, job = arrive(content)
    assert job.state == "failed" and "export the release as “studio”" in job.reason


def test_a_release_that_is_here_already_is_refused_by_name(release):
    _arrival, job = arrive(export(release))
    assert job.state == "failed" and "songs-v1" in job.reason


def test_a_dataset_with_other_labels_is_no_place_for_it(release, leave):
    content = export(release)
    leave(release.dataset)
    other = tracks.create_dataset(name="Two")
    other.labels.last().delete()
    _arrival, job = arrive(content, dataset=other)
    assert job.state == "failed" and "a dataset of its own" in job.reason


def test_a_bundle_that_was_packed_anew_is_refused(release, leave, tmp_path):
    content = export(release)
    leave(release.dataset)
    (tmp_path / "in.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "in.zip") as source, zipfile.ZipFile(tmp_path / "out.zip", "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            target.writestr(entry, source.read(entry))
    _arrival, job = arrive((tmp_path / "out.zip").read_bytes())
    assert job.state == "failed" and "packed anew" in job.reason


def test_the_record_names_no_person(release, curator):
    with zipfile.ZipFile(ContentFile(export(release))) as bundle:
        record = json.loads(bundle.read("songs-v1/record.json"))
    assert curator.username not in json.dumps(record)


def test_the_file_is_not_kept_once_it_is_in(release, leave):
    content = export(release)
    leave(release.dataset)
    arrival, _job = arrive(content)
    assert arrival.file.name == ""


def test_a_curator_brings_a_bundle_in_by_the_page_and_sees_what_came_of_it(client, curator, release, leave):
    content = export(release)
    leave(release.dataset)
    client.force_login(curator)
    page = client.post("/imports/release/", {"bundle": ContentFile(content, name="songs.zip"), "dataset": ""}, follow=True)
    assert "The bundle is here and is being read." in page.content.decode()
    queue.run_job(arrivals.job_of(ReleaseImport.objects.get()).pk, jobs.bring_in_release)
    page = client.get("/imports/release/").content.decode()
    assert "brought in" in page and "/releases/songs-v1/" in page and "from songs.zip" in page
    assert "from another studio" in client.get("/releases/").content.decode()
    assert "Choose" not in client.post("/imports/release/", {}).content.decode() and ReleaseImport.objects.count() == 1


def test_a_bundle_comes_in_by_command(release, leave, tmp_path, capsys):
    (tmp_path / "b.zip").write_bytes(export(release))
    leave(release.dataset)
    call_command("import_release", tmp_path / "b.zip")
    assert "Brought in “songs-v1”: 12 tracks into “Songs”" in capsys.readouterr().out
    with pytest.raises(CommandError, match="is here already"):
        call_command("import_release", tmp_path / "b.zip")


def test_a_recording_that_is_another_file_is_refused_before_anything_is_stored(release, leave, tmp_path):
    first = release.items.first()
    content = changed(export(release), tmp_path, f"audio/{first.number}.wav", lambda text: text + b"x")
    leave(release.dataset)
    _arrival, job = arrive(content)
    assert job.state == "failed" and "is not the file" in job.reason and Track.objects.count() == 1 and Dataset.objects.count() == 1


@pytest.mark.database
def test_nobody_sees_a_release_before_it_is_complete_and_an_interrupted_one_is_begun_anew(
    release, leave, monkeypatch, client, curator
):
    content = export(release)
    leave(release.dataset)
    store = arrivals._store_splits

    def dies(*args):
        raise OSError("power cut")

    monkeypatch.setattr(arrivals, "_store_splits", dies)
    _arrival, job = arrive(content)
    assert job.state == "failed" and Release.every.count() == 1 and not Release.objects.exists()
    client.force_login(curator)
    assert client.get("/releases/songs-v1/").status_code == 404 and "Try again" in client.get("/imports/release/").content.decode()
    monkeypatch.setattr(arrivals, "_store_splits", store)
    queue.retry(job)
    job = queue.run_job(job.pk, jobs.bring_in_release)
    assert job.state == "done", job.reason
    again = Release.objects.get()
    assert again.items.count() == 12 and again.content_hash == releases.content_hash(again) and export(again) == content


@pytest.mark.database
def test_ratings_whose_counting_was_interrupted_count_once(release, leave, monkeypatch):
    content = export(release)
    leave(release.dataset)
    announce, n = arrivals.announce, 0
    monkeypatch.setattr(selectors, "pieces", lambda release, size=0, pieces=selectors.pieces: pieces(release, 3))

    def dies(*args):
        nonlocal n
        n += 1
        if n == 3:
            raise OSError("power cut")
        announce(*args)

    monkeypatch.setattr(arrivals, "announce", dies)
    arrival, job = arrive(content)
    assert job.state == "failed" and Rating.objects.count() == 30
    queue.retry(job)
    assert queue.run_job(job.pk, jobs.bring_in_release).state == "done"
    arrival.refresh_from_db()
    assert Rating.objects.filter(not_counted="").count() == 60 and arrival.file.name == ""


@pytest.mark.database
def test_a_later_version_with_more_ratings_and_a_ruling_counts_as_it_did_there(release, questionnaire, rate, curator, leave):
    first = export(release)
    row = Consensus.objects.filter(questionnaire=questionnaire, state="agreed").first()
    questionnaires.ask_for_more(row.track, by=curator)
    rate(row.track, "sad calm" if "positive" in row.votes else "happy sad")
    row.refresh_from_db()
    if row.state == "split":
        label = questionnaire.dataset.labels.get(key="neutral")
        questionnaires.rule_on(row, label=label, reason="x", by=curator)
    second = freezing.freeze(questionnaire, name="songs-v2", seed=3)
    votes = {item.title: (item.votes, item.label, item.is_ruled) for item in second.items.all()}
    assert any(sum(found.values()) == 7 for found, *_ in votes.values())
    content = export(second)
    leave(release.dataset)
    arrival, _job = arrive(first)
    _later, job = arrive(content, dataset=arrival.dataset)
    assert job.state == "done", job.reason
    rows = Consensus.objects.filter(track__dataset=arrival.dataset).select_related("label", "track")
    here = {row.track.title: (row.votes, row.label.key, row.state == "ruled") for row in rows if row.label}
    assert {title: here[title] for title in votes} == votes


@pytest.mark.database
def test_a_bundle_that_comes_home_counts_nobody_twice(release, questionnaire, rate):
    track = release.items.first().track
    questionnaires.ask_for_more(track, more=2)
    rate(track, "sad sad")
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    content, votes = export(later), later.items.get(track=track).votes
    later.delete()
    newest = list(Rating.objects.filter(track=track).order_by("-pk").values_list("pk", flat=True)[:2])
    Rating.objects.filter(pk__in=newest).delete()
    row = consensus.lock(questionnaire.pk, track.pk)
    consensus.update_consensus(row)
    _arrival, job = arrive(content, release.dataset)
    assert job.state == "done", job.reason
    assert Consensus.objects.get(track=track).votes == votes
    assert not Rating.objects.filter(track=track, not_counted="surplus").exists()


def test_a_dataset_without_its_words_is_no_place_for_it(release, leave):
    content = export(release)
    leave(release.dataset)
    other = tracks.create_dataset(name="Other words")
    other.labels.first().words.all().delete()
    _arrival, job = arrive(content, dataset=other)
    assert job.state == "failed" and "has no words" in job.reason


def test_a_dataset_that_means_something_else_by_a_key_takes_no_bundle(release, leave):
    content = export(release)
    Release.objects.update(name="older")
    release.dataset.labels.filter(key="positive").update(name="Something else")
    _arrival, job = arrive(content, release.dataset)
    assert job.state == "failed" and "means something else by the keys of Positive" in job.reason
