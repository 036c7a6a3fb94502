"""Whether sources can still be fetched: asked once a month, written down at once, shown with releases."""

from datetime import timedelta

import pytest
from django.utils import timezone

from datasets import jobs, selectors
from datasets.methods import youtube
from datasets.models import Job, Track
from datasets.services import links, queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def videos(dataset) -> list[Track]:
    return [
        Track.objects.create(dataset=dataset, title=f"Video {n}", source="youtube", external_id=f"abcdefghij{n}", state="ready")
        for n in range(3)
    ]


def check(dataset) -> Job:
    job = links.request_check(dataset)
    return queue.run_job(job.pk, jobs.check_sources)


@pytest.fixture
def answers(monkeypatch) -> dict[str, youtube.FetchFailed]:
    found: dict[str, youtube.FetchFailed] = {}

    def ask(identifier, *, access):
        if identifier in found:
            raise found[identifier]

    monkeypatch.setattr(youtube, "ask", ask)
    return found


def test_what_is_gone_says_why_and_what_is_there_says_when(videos, dataset, answers):
    answers["abcdefghij1"] = youtube.FetchFailed("Video unavailable", youtube.Problem.GONE)
    assert check(dataset).state == "done"
    assert [track.source_gone for track in Track.objects.order_by("id")] == ["", "Video unavailable", ""]
    assert not Track.objects.filter(source_checked_at=None).exists()
    assert links.due(dataset) == []


def test_after_a_month_it_is_asked_again_and_may_be_back(videos, dataset, answers):
    Track.objects.update(source_checked_at=timezone.now() - timedelta(days=31), source_gone="Video unavailable")
    check(dataset)
    assert not Track.objects.exclude(source_gone="").exists()


def test_an_answer_that_says_nothing_of_the_video_leaves_it_as_it_was(videos, dataset, answers):
    answers["abcdefghij1"] = youtube.FetchFailed("Unable to extract", youtube.Problem.OUTDATED)
    assert check(dataset).state == "failed"
    assert list(Track.objects.filter(source_checked_at=None)) == [videos[1]]
    del answers["abcdefghij1"]
    queue.retry(Job.objects.get())
    queue.run_job(Job.objects.get().pk, jobs.check_sources)
    assert not Track.objects.filter(source_checked_at=None).exists()


def test_a_video_that_is_not_understood_stands_in_nobodys_way(videos, dataset, answers):
    answers["abcdefghij0"] = youtube.FetchFailed("Unable to extract", youtube.Problem.OUTDATED)
    job = check(dataset)
    assert job.state == "failed" and "Unable to extract" in job.reason
    assert list(Track.objects.filter(source_checked_at=None)) == [videos[0]]


def test_when_none_of_the_first_is_understood_the_others_are_not_asked_after(dataset, monkeypatch):
    asked = []
    for n in range(15):
        Track.objects.create(dataset=dataset, title=str(n), source="youtube", external_id=f"abcdefghi{n:02}", state="ready")

    def ask(identifier, *, access):
        asked.append(identifier)
        raise youtube.FetchFailed("Unable to extract", youtube.Problem.OUTDATED)

    monkeypatch.setattr(youtube, "ask", ask)
    assert check(dataset).state == "failed"
    assert len(asked) == jobs.MOST_UNKNOWN


def test_being_blocked_pauses_the_queue_and_loses_nothing(videos, dataset, answers):
    answers["abcdefghij0"] = youtube.FetchFailed("not a bot", youtube.Problem.BLOCKED)
    assert check(dataset).state == "queued"
    assert selectors.pause_of("fetch") is not None


def test_checks_are_queued_once_for_each_dataset_with_something_due(videos, dataset):
    assert links.queue_checks() == 1
    assert links.queue_checks() == 0
    assert Job.objects.filter(task=links.CHECK).count() == 1


def test_the_pages_count_what_is_gone(client, curator, release, answers):
    first = release.items.order_by("track_id").first().track
    Track.objects.filter(pk__in=release.items.values("track")).update(source="youtube", source_checked_at=timezone.now())
    Track.objects.filter(pk=first.pk).update(source_gone="Video unavailable")
    client.force_login(curator)
    assert "11 of 12 checked YouTube sources can still be fetched" in client.get(f"/releases/{release.name}/").content.decode()
    assert client.get("/tracks/?mark=gone").content.decode().count('name="track"') == 1
    assert "gone since" in client.get("/jobs/health/").content.decode()
    assert "Nothing to check" in client.post("/jobs/check-sources/", follow=True).content.decode()
