"""What monitors ask."""

import re
from datetime import timedelta
from importlib import metadata

import pytest
from django.db import DatabaseError
from django.test import override_settings
from django.utils import timezone

from config import health, metrics
from datasets import selectors, tasks
from datasets.models import Job, Sweep
from datasets.services import queue

pytestmark = pytest.mark.django_db


def test_the_process_answers_without_asking_anything(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert client.get("/healthz").content == b"ok\n"


def test_ready_says_what_works(client, monkeypatch):
    monkeypatch.setattr(health, "_broker", lambda: None)
    answer = client.get("/readyz")
    assert answer.status_code == 200 and answer.json() == {
        "ready": True, "checks": {"database": "ok", "storage": "ok", "broker": "ok"},
    }  # fmt: skip


def test_without_a_database_or_a_storage_it_is_not_ready_and_without_a_broker_it_is(client, monkeypatch):
    def broken() -> None:
        raise DatabaseError("password=secret host=10.0.0.1")

    monkeypatch.setattr(health, "_broker", broken)
    answer = client.get("/readyz")
    assert answer.status_code == 200 and answer.json()["checks"]["broker"] == "DatabaseError"
    monkeypatch.setattr(health, "_database", broken)
    answer = client.get("/readyz")
    assert answer.status_code == 503 and "secret" not in answer.content.decode()


def test_metrics_are_for_the_token_and_for_admins(client, curator, admin_person, make_track):
    make_track()
    assert client.get("/metrics").status_code == 404
    client.force_login(curator)
    assert client.get("/metrics").status_code == 404
    client.logout()
    with override_settings(METRICS_TOKEN="a-long-token"):
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
        page = client.get("/metrics", headers={"Authorization": "Bearer a-long-token"}).content.decode()
    assert 'mer_tracks{state="ready"} 1.0' in page and 'mer_jobs{state="failed"} 0.0' in page and "mer_disk_free_bytes" in page
    client.force_login(admin_person)
    assert client.get("/metrics").status_code == 200


def test_metrics_tell_how_long_requests_and_jobs_take(client, admin_person, make_track):
    now = timezone.now()
    for seconds in (2, 4):
        Job.objects.create(
            task="datasets.tasks.convert",
            title="x",
            subject="track",
            subject_id=seconds,
            state="done",
            started_at=now - timedelta(seconds=seconds),
            finished_at=now,
        )
    client.force_login(admin_person)
    client.get("/healthz")
    client.get("/nobody-knows-this-address")
    page = client.get("/metrics").content.decode()
    assert 'mer_request_seconds_count{code="2xx",method="GET",route="healthz"}' in page
    assert 'mer_request_seconds_count{code="4xx",method="GET",route=""}' in page and "nobody-knows" not in page
    assert 'mer_jobs_done_last_day{task="datasets.tasks.convert"} 2.0' in page
    assert 'mer_job_mean_seconds{task="datasets.tasks.convert"} 3.0' in page


def test_an_old_yt_dlp_or_a_missing_runtime_alarms_the_admin(client, curator, admin_person, monkeypatch):
    def shown() -> list[bool]:
        return ["yt-dlp is out of date" in client.get(address).content.decode() for address in ("/", "/admin/")]

    client.force_login(admin_person)
    monkeypatch.setattr("datasets.selectors.age_of_ytdlp", lambda: 10)
    assert shown() == [False, False]
    monkeypatch.setattr("datasets.selectors.age_of_ytdlp", lambda: 90)
    assert shown() == [True, True]
    monkeypatch.setattr("datasets.selectors.javascript_runtime", lambda: "")
    assert "no JavaScript runtime" in client.get("/").content.decode()
    client.force_login(curator)
    assert "out of date" not in client.get("/").content.decode()


def test_metrics_tell_the_age_of_yt_dlp(client, admin_person, monkeypatch):
    monkeypatch.setattr(metrics, "age_of_ytdlp", lambda: 90)
    monkeypatch.setattr(metrics, "javascript_runtime", lambda: "")
    client.force_login(admin_person)
    page = client.get("/metrics").content.decode()
    assert "mer_ytdlp_age_days 90.0" in page and "mer_javascript_runtime 0.0" in page


def test_pages_stand_where_only_pages_are_answered(client, admin_person, monkeypatch):
    """The web image has no yt-dlp and no JavaScript runtime."""

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("datasets.selectors.metadata.version", missing)
    monkeypatch.setattr("datasets.selectors.javascript_runtime", lambda: "")
    client.force_login(admin_person)
    for address in ("/", "/admin/", "/jobs/health/", "/metrics"):
        response = client.get(address)
        assert (
            response.status_code == 200
            and b"JavaScript runtime:" not in response.content
            and b"out of date" not in response.content
        )
    assert b"on the workers" in client.get("/jobs/health/").content


def test_a_queue_that_nobody_looks_after_is_told_in_the_panel_and_to_monitors(client, admin_client, dataset):
    assert selectors.work_alarms() == [], "it has only begun"
    job = queue.enqueue("datasets.tasks.write_export", dataset, title="Something", wake_worker=False)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=5))
    assert "beat" in selectors.work_alarms()[0]
    assert "Nobody has looked after the queue" in admin_client.get("/admin/").content.decode()
    assert "mer_sweep_age_seconds -1.0" in admin_client.get("/metrics").content.decode()
    queue.sweep()
    assert selectors.work_alarms() == []
    age = float(re.search(r"^mer_sweep_age_seconds (.+)$", admin_client.get("/metrics").content.decode(), re.M).group(1))
    assert 0 <= age < 30
    Sweep.objects.update(at=timezone.now() - timedelta(minutes=2))
    assert selectors.work_alarms() != []


def test_a_paused_queue_does_not_make_the_oldest_job_look_forgotten(admin_client, dataset):
    job = queue.enqueue("datasets.tasks.fetch_track", dataset, title="Something", wake_worker=False)
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(hours=9))
    assert "mer_oldest_waiting_job_seconds 324" in admin_client.get("/metrics").content.decode()
    queue.pause("fetch", reason="by hand")
    assert "mer_oldest_waiting_job_seconds 0" in admin_client.get("/metrics").content.decode()


def test_many_who_ask_whether_it_is_ready_write_one_file(client, monkeypatch):
    written = []
    monkeypatch.setattr(health, "_write", lambda: written.append(1))
    monkeypatch.setattr(health, "_broker", lambda: None)
    for _ in range(5):
        assert client.get("/readyz").json()["checks"]["storage"] == "ok"
    assert written == [1]


def test_what_keeps_one_step_of_tidying_from_being_done_keeps_no_other(monkeypatch, caplog):
    done = []

    def broken() -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(tasks.links, "queue_checks", broken)
    monkeypatch.setattr(tasks.queue, "forget_old", lambda: done.append(1))
    tasks.tidy()
    assert done == [1] and "queue_checks" not in done and "broke" in caplog.text
