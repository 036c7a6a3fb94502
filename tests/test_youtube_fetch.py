"""One YouTube address through yt-dlp itself, with a local server in the place of the site's media host.

YouTube's own pages cannot be reached from a build machine: only the step that reads them is replaced by recorded info; URL
matching, `allowed_extractors`, format choice, policy, download and storage are the product's own.
"""

import http.server
import itertools
import os
import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from socket import AF_INET, SOCK_STREAM
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone
from yt_dlp.extractor.youtube import YoutubeIE
from yt_dlp.utils import ExtractorError

from datasets import jobs, selectors
from datasets.errors import TrackExists
from datasets.methods import network, youtube
from datasets.models import Dataset, Job, QueuePause, Track
from datasets.services import links, queue, tracks
from tests.conftest import tone

pytestmark = pytest.mark.django_db
SERVED = "127.0.0.1"
ADDRESS = "https://youtu.be/-bWEtTTXHyI"


class Site(http.server.BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]] = {}
    places: dict[str, str] = {}
    asked: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range", "")))
        status, body = self.answers.get(self.path, (404, b""))
        if self.path in self.places:
            status = 302
        begin = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if status == 200 and begin and int(begin.group(1)) > 0:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin.group(1)}-{len(body) - 1}/{len(body)}")
            body = body[int(begin.group(1)) :]
        else:
            self.send_response(status)
        if self.path in self.places:
            self.send_header("Location", self.places[self.path])
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "audio/wav")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        return None


@pytest.fixture
def site(monkeypatch, tmp_path) -> Iterator[str]:
    """YouTube's media host, whose name leads to this machine: the only seam. Hosts and redirects are checked as ever."""
    Site.answers = {"/sound.wav": (200, tone(2.0)), "/broken.wav": (500, b"")}
    Site.places, Site.asked = {}, []
    was_public = network.is_public
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        port = server.server_address[1]
        monkeypatch.setattr(network, "resolve", lambda host, port, *rest, **kinds: [(AF_INET, SOCK_STREAM, 6, "", (SERVED, port))])
        monkeypatch.setattr(network, "is_public", lambda address: address == SERVED or was_public(address))
        monkeypatch.setattr(settings, "FETCH_SLEEP_S", 0)
        monkeypatch.setattr(settings, "WORK_DIR", tmp_path)
        yield f"http://r1.googlevideo.com:{port}"
        server.shutdown()


@pytest.fixture
def recorded(monkeypatch, site):
    """Answer as YouTube's page would, with the sound on the local server."""

    def set_info(path: str = "/sound.wav", **values) -> None:
        def extract(self, url):
            if "error" in values:
                raise ExtractorError(values["error"], expected=values.get("expected", True))
            formats = [{"format_id": "140", "url": site + path, "ext": "wav", "vcodec": "none", "acodec": "pcm_s16le"}]
            info = {"id": "-bWEtTTXHyI", "title": "Bengawan Solo =1+1", "channel": "Gesang", "license": "CC BY", "duration": 2}
            return info | values | {"formats": formats}

        monkeypatch.setattr(YoutubeIE, "_real_extract", extract)

    return set_info


def fetch(dataset, address: str = ADDRESS) -> tuple[Job, Track]:
    job = tracks.add_youtube(dataset=dataset, address=address, wake_worker=False)
    job = queue.run_job(job.pk, jobs.fetch_track)
    return job, Track.objects.get(pk=job.subject_id)


def test_a_video_becomes_a_track_and_its_conversion_follows(dataset, recorded):
    recorded()
    job, track = fetch(dataset)
    assert (job.state, job.reason) == ("done", "")
    assert (track.title, track.artist, track.licence) == ("Bengawan Solo =1+1", "Gesang", "CC BY")
    assert (track.external_id, track.source_url) == ("-bWEtTTXHyI", "https://www.youtube.com/watch?v=-bWEtTTXHyI")
    following = Job.objects.get(task=tracks.CONVERT)
    assert queue.run_job(following.pk, jobs.convert_track).state == "done"
    track.refresh_from_db()
    assert track.state == "ready" and track.duration_s == pytest.approx(2.0, abs=0.05)


def test_a_private_video_fails_with_what_youtube_said(dataset, recorded):
    recorded(error="Private video. Sign in if you have been granted access")
    job, track = fetch(dataset)
    assert job.state == track.state == "failed"
    assert "Private video" in track.reason


@pytest.mark.parametrize(
    ("values", "reason"), [({"duration": 36_000}, "longer than 60 minutes"), ({"is_live": True}, "live stream")]
)
def test_what_policy_forbids_is_not_downloaded(dataset, recorded, values, reason):
    recorded(**values)
    _job, track = fetch(dataset)
    assert track.state == "failed" and reason in track.reason


def test_a_video_that_is_gone_fails_at_once(dataset, recorded):
    recorded("/gone.wav")
    job, track = fetch(dataset)
    assert (job.state, track.state, track.problem) == ("failed", "failed", "gone")
    assert "could not be fetched" in track.reason


def test_a_broken_line_is_tried_again_later_and_at_last_fails(dataset, recorded, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    recorded("/broken.wav")
    job, track = fetch(dataset)
    waits = []
    while job.state == "queued":
        assert queue.claim(job.pk) is None, "it waits"
        waits.append((job.not_before - timezone.now()).total_seconds())
        Job.objects.filter(pk=job.pk).update(not_before=timezone.now() - timedelta(seconds=1))
        job = queue.run_job(job.pk, jobs.fetch_track)
    track.refresh_from_db()
    assert (job.state, track.state, track.problem) == ("failed", "failed", "network") and "tried 6 times" in track.reason
    assert len(waits) == 5 and all(later > 1.5 * sooner for sooner, later in itertools.pairwise(waits))
    assert not list(settings.WORK_DIR.glob("job-*"))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("[youtube] x: Unable to download API page: <urlopen error [Errno -3] Temporary failure in name resolution>", "network"),
        ("unable to download video data: HTTP Error 503: Service Unavailable", "network"),
        ("[youtube] x: Unable to download API page: Failed to resolve 'www.youtube.com'", "network"),
        ("[youtube] x: Sign in to confirm you’re not a bot. Use --cookies-from-browser", "blocked"),
        ("[youtube] x: Unable to download API page: HTTP Error 429: Too Many Requests", "blocked"),
        (
            "[youtube] x: Video unavailable. This content isn't available, try again later. The current session has been rate-limited",
            "blocked",
        ),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users", "gone"),
        ("[youtube] x: Private video. Sign in if you've been granted access to this video", "gone"),
        ("[youtube] x: Video unavailable. This video is not available in your country", "gone"),
        ("[youtube] x: This video has been removed by the uploader", "gone"),
        ("[youtube] x: Requested format is not available. Use --list-formats", "outdated"),
        ("[youtube] x: nsig extraction failed: Some formats may be missing", "outdated"),
        ("unable to download video data: HTTP Error 403: Forbidden", "outdated"),
        ("[youtube] x: All player responses are invalid. Your IP is likely being blocked by Youtube", "blocked"),
        ("[youtube] x: This live event will begin in 3 days.", "policy"),
        ("[youtube] x: Premieres in 2 hours", "policy"),
        ("[youtube] x: This live event has ended.", "gone"),
        ("[youtube] x: This video requires payment to watch.", "gone"),
        ("[youtube] x: This video is DRM protected", "gone"),
        ("[youtube] aSSLbcdefgh: Private video", "gone"),
        ("[youtube] abceofdefgh: Video unavailable", "gone"),
        ("[youtube] abcdnsigefg: This video has been removed by the uploader", "gone"),
        ("[youtube] x: This video contains content from Sony Connection Records, who has blocked it on copyright grounds", "gone"),
        ("unable to write data: [Errno 28] No space left on device", "network"),
        ("[youtube] x: something that yt-dlp knows and nobody has ever read", "gone"),
    ],
)
def test_what_youtube_says_is_of_the_class_of_its_cure(dataset, recorded, said, problem):
    recorded(error=said)
    assert fetch(dataset)[1].problem == problem


def test_what_yt_dlp_did_not_expect_says_that_it_is_out_of_date(dataset, recorded):
    recorded(error="[youtube] x: something that nobody has ever read", expected=False)
    assert fetch(dataset)[1].problem == "outdated"


@pytest.fixture
def proxy(site, monkeypatch) -> Iterator[str]:
    """A proxy on this machine, which goes wherever it is told; without it no address at all may be connected to."""

    class Proxy(Site):
        def do_GET(self) -> None:
            went.append(self.path)
            self.path = urlsplit(self.path).path
            super().do_GET()

        do_HEAD = do_GET

        def do_CONNECT(self) -> None:
            went.append(self.path)
            self.send_error(502)

    went: list[str] = []
    monkeypatch.setattr(network, "resolve", network._getaddrinfo)
    monkeypatch.setattr(network, "is_public", lambda address: False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(settings, "FETCH_PROXY", f"http://127.0.0.1:{server.server_address[1]}")
        yield went
        server.shutdown()


def test_a_proxy_in_the_own_network_fetches_for_us(dataset, recorded, proxy):
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.state) == ("done", "converting"), job.reason
    assert proxy and all("googlevideo.com" in address for address in proxy)


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/latest/", "https://169.254.169.254/", "http://localhost/x.wav", "https://evil.example/x.wav"]
)
def test_no_proxy_is_sent_where_a_download_may_not_go(dataset, recorded, proxy, place):
    Site.places = {"/sound.wav": place}
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.problem) == ("failed", "refused") and "not an allowed host" in track.reason
    assert all("googlevideo.com" in address for address in proxy)


def test_a_proxy_that_no_guard_of_ours_sees_into_is_refused(dataset, recorded, monkeypatch):
    monkeypatch.setattr(settings, "FETCH_PROXY", "socks5://127.0.0.1:1080")
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.problem) == ("failed", "refused") and "only proxies of http" in track.reason


def test_a_file_of_cookies_is_read_and_never_written(dataset, recorded, tmp_path, monkeypatch):
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t0\tA\tb\n")
    before = cookies.stat()
    monkeypatch.setattr(settings, "FETCH_COOKIES_FILE", str(cookies))
    recorded()
    assert fetch(dataset)[0].state == "done"
    assert cookies.stat().st_mtime_ns == before.st_mtime_ns


def test_the_quota_of_recordings_holds_for_videos_too(dataset, recorded, monkeypatch):
    monkeypatch.setattr(settings, "MEDIA_QUOTA_GB", 1e-9)
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.state) == ("failed", "failed") and "MEDIA_QUOTA_GB" in track.reason


def test_a_bot_check_pauses_the_whole_queue_and_says_so(dataset, recorded, client, curator):
    recorded(error="Sign in to confirm you’re not a bot. Use --cookies for the authentication")
    job, track = fetch(dataset)
    other = tracks.add_youtube(dataset=dataset, address="https://youtu.be/abcdefghijk", wake_worker=False)
    assert (job.state, track.state, job.attempts) == ("queued", "waiting", 0)
    assert queue.claim(other.pk) is None and queue.claim(job.pk) is None
    client.force_login(curator)
    page = client.get("/jobs/health/").content.decode()
    assert "Fetching is paused" in page and "not a bot" in page and "it goes on by itself at" in page
    client.post("/jobs/resume/")
    recorded()
    assert queue.run_job(job.pk, jobs.fetch_track).state == "done"
    assert not QueuePause.objects.exists()


def test_each_pause_of_the_studio_is_longer_and_one_success_makes_them_short_again(dataset):
    lengths = []
    for _ in range(5):
        row = queue.pause("fetch", reason="HTTP Error 429")
        lengths.append(round((row.until - timezone.now()).total_seconds() / 3600))
        QueuePause.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert lengths == [1, 2, 4, 8, 8]
    queue.succeeded("fetch")
    assert queue.pause("fetch", reason="again").times == 1


def test_a_persons_pause_lasts_until_it_is_lifted(dataset, recorded, curator):
    queue.pause("fetch", reason="Night", by=curator)
    queue.pause("fetch", reason="HTTP Error 429")
    assert selectors.pause_of("fetch").until is None and selectors.pause_of("fetch").reason == "Night"
    queue.resume("fetch", by=curator)
    recorded()
    assert fetch(dataset)[0].state == "done"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("http://169.254.169.254/latest/meta-data/", "not an allowed host"),
        ("http://localhost:6379/", "not an allowed host"),
        ("http://10.0.0.5/x.wav", "not an allowed host"),
        ("http://[::1]/x.wav", "not an allowed host"),
        ("https://evil.example/x.wav", "not an allowed host"),
    ],
)
def test_a_redirect_to_another_place_is_not_followed(dataset, recorded, site, place, why):
    Site.places = {"/sound.wav": place}
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.problem) == ("failed", "refused") and why in track.reason


@pytest.mark.parametrize(
    "address",
    ["10.1.2.3", "192.168.1.1", "169.254.169.254", "127.0.0.2", "::1", "fd00::1", "::ffff:10.0.0.1", "100.64.0.1", "224.0.0.1"],
)
def test_an_allowed_name_with_an_address_of_the_own_network_is_refused(dataset, recorded, site, monkeypatch, address):
    monkeypatch.setattr(network, "resolve", lambda host, port, *rest, **kinds: [(AF_INET, SOCK_STREAM, 6, "", (address, port))])
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.problem) == ("failed", "refused") and "inside a network of its own" in track.reason


@pytest.mark.parametrize("protocol", ["m3u8", "m3u8_native", "rtmp", "mms"])
def test_no_program_beside_ours_is_started_that_would_go_where_it_likes(dataset, recorded, site, monkeypatch, tmp_path, protocol):
    """yt-dlp leaves some streams to ffmpeg, which asks no guard of ours."""
    programs, started = tmp_path / "programs", tmp_path / "started"
    programs.mkdir()
    for name in ("ffmpeg", "ffprobe", "rtmpdump", "mplayer", "mpv"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} $* >> {started}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    manifest = '#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="http://169.254.169.254/key"\n#EXTINF:2,\nhttp://169.254.169.254/a.ts\n'
    Site.answers["/list.m3u8"] = (200, manifest.encode())
    url = f"{site}/list.m3u8" if protocol == "m3u8_native" else "http://169.254.169.254/x"
    formats = [{"format_id": "1", "url": url, "protocol": protocol, "ext": "mp4", "vcodec": "none", "acodec": "mp4a"}]
    info = {"id": "-bWEtTTXHyI", "title": "T", "duration": 2, "formats": formats}
    monkeypatch.setattr(YoutubeIE, "_real_extract", lambda self, url: info)
    _job, track = fetch(dataset)
    assert not started.exists(), started.read_text()
    assert track.problem == "outdated" and track.state == "failed"


def test_a_download_that_was_killed_goes_on_where_it_ended(dataset, recorded, site):
    recorded()
    whole = Site.answers["/sound.wav"][1]
    job = tracks.add_youtube(dataset=dataset, address=ADDRESS, wake_worker=False)
    folder = settings.WORK_DIR / f"job-{job.pk}"
    folder.mkdir()
    (folder / "original.wav.part").write_bytes(whole[:40_000])
    assert queue.run_job(job.pk, jobs.fetch_track).state == "done"
    assert ("/sound.wav", "bytes=40000-") in Site.asked
    with Track.objects.get().files.get(kind="original").file.open("rb") as stored:
        assert stored.read() == whole
    assert not folder.exists()


def test_a_cancelled_download_leaves_nothing(dataset, recorded, site, monkeypatch):
    recorded()
    job = tracks.add_youtube(dataset=dataset, address=ADDRESS, wake_worker=False)
    start = tracks.start_step

    def cancelled_meanwhile(*args):
        start(*args)
        queue.cancel(Job.objects.get(pk=job.pk))

    monkeypatch.setattr(tracks, "start_step", cancelled_meanwhile)
    assert queue.run_job(job.pk, jobs.fetch_track).state == "cancelled"
    assert Track.objects.get().state == "failed"
    assert not list(settings.WORK_DIR.glob("job-*"))


def test_what_is_left_of_work_that_nobody_waits_for_any_more_is_removed(db):
    folders = {}
    for state in Job.State:
        job = Job.objects.create(
            task="datasets.tasks.fetch_track", title=state, subject="track", subject_id=len(folders), state=state
        )
        folders[state] = settings.WORK_DIR / f"job-{job.pk}"
    folders["gone"] = settings.WORK_DIR / "job-99999999-abc"
    for folder in folders.values():
        folder.mkdir()
        os.utime(folder, (0, 0))  # as old as it may be: what counts is whether its job is alive
    jobs.sweep_folders()
    assert {state for state, folder in folders.items() if folder.exists()} == {"queued", "running"}
    for state in ("queued", "running"):
        folders[state].rmdir()


def test_the_same_video_twice_is_refused(dataset, recorded):
    recorded()
    fetch(dataset)
    with pytest.raises(TrackExists, match="already in"):
        tracks.add_youtube(dataset=dataset, address="https://www.youtube.com/watch?v=-bWEtTTXHyI", wake_worker=False)


def test_a_source_is_asked_after_without_fetching_it(dataset, recorded):
    recorded()
    _job, track = fetch(dataset)
    Track.objects.filter(pk=track.pk).update(state="ready")
    downloads = len(Site.asked)
    assert queue.run_job(links.request_check(dataset).pk, jobs.check_sources).state == "done"
    track.refresh_from_db()
    assert track.source_checked_at and track.source_gone == ""
    Track.objects.update(source_checked_at=None)
    recorded(error="Video unavailable. This video has been removed by the uploader")
    assert queue.run_job(links.request_check(dataset).pk, jobs.check_sources).state == "done"
    track.refresh_from_db()
    assert "removed by the uploader" in track.source_gone
    assert len(Site.asked) == downloads


API = "/youtube/v3/videos?part=status&id=-bWEtTTXHyI"
KIDS, OTHERS = b'{"items": [{"status": {"madeForKids": true}}]}', b'{"items": [{"status": {"madeForKids": false}}]}'


@pytest.fixture
def data_api(monkeypatch, site, dataset):
    """A dataset that takes no videos made for kids, a key, and the Data API on the local server."""
    port = site.rsplit(":", 1)[1]
    monkeypatch.setattr(youtube, "DATA_API", f"http://{youtube.DATA_API_HOST}:{port}/youtube/v3/videos?part=status&id=")
    monkeypatch.setattr(settings, "YOUTUBE_API_KEY", "the-key")
    dataset.made_for_kids = False
    dataset.save()


@pytest.mark.parametrize(("said", "state"), [(KIDS, "failed"), (OTHERS, "done"), (b'{"items": []}', "done")])
def test_a_video_made_for_kids_is_refused_where_the_dataset_takes_none(dataset, recorded, data_api, said, state):
    Site.answers[API] = (200, said)
    recorded()
    job, _track = fetch(dataset)
    assert job.state == state
    assert ("made for kids" in job.reason) is (state == "failed")
    assert any(path == API for path, _ in Site.asked) and not any("the-key" in path for path, _ in Site.asked)
    assert any(path == "/sound.wav" for path, _ in Site.asked) is (state == "done")


def test_nobody_is_asked_where_videos_made_for_kids_are_taken(dataset, recorded, data_api):
    Dataset.objects.update(made_for_kids=True)
    recorded()
    assert fetch(dataset)[0].state == "done"
    assert not any("youtube/v3" in path for path, _ in Site.asked)


@pytest.mark.parametrize(
    ("answer", "job_state", "problem", "paused"),
    [
        ((403, b"{}"), "queued", "blocked", True),
        ((400, b"{}"), "queued", "blocked", True),
        ((500, b""), "queued", "network", False),
        ((200, b"<html>"), "queued", "network", False),
    ],
)
def test_a_video_of_which_it_is_not_known_is_not_taken(dataset, recorded, data_api, answer, job_state, problem, paused):
    Site.answers[API] = answer
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.problem) == (job_state, problem)
    assert "the-key" not in job.reason + track.reason
    assert QueuePause.objects.filter(queue="fetch").exists() is paused
    assert not any(path == "/sound.wav" for path, _ in Site.asked)


def test_without_a_key_such_a_policy_is_refused_by_the_form_and_stops_a_fetch(dataset, recorded, data_api, monkeypatch):
    monkeypatch.setattr(settings, "YOUTUBE_API_KEY", "")
    with pytest.raises(ValidationError, match="YOUTUBE_API_KEY"):
        dataset.full_clean()
    recorded()
    job, track = fetch(dataset)
    assert (job.state, track.problem) == ("failed", "policy")
    assert "YOUTUBE_API_KEY" in job.reason


def test_a_name_that_answers_from_outside_first_and_from_inside_later_leads_nowhere(monkeypatch):
    """DNS rebinding: each answer is looked at, and what was looked at is what is connected to."""
    inside, connected = ("10.0.0.7", "127.0.0.1", "169.254.169.254"), []
    answers = iter([*(["93.184.216.34", address] for address in inside)])
    waiting: list[str] = []

    def resolve(host, port, *args, **kwargs):
        if not waiting:
            waiting.extend(next(answers))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (waiting.pop(0), port))]

    def connect(self, address):
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(network, "resolve", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    for _ in inside:
        with network.only_to(("rebind.googlevideo.com",)):
            with pytest.raises(OSError):  # the address of the first answer, which is outside, is tried
                socket.create_connection(("rebind.googlevideo.com", 443), timeout=1)
            with pytest.raises(network.ConnectionRefusedByPolicy, match="lies inside a network of its own"):
                socket.create_connection(("rebind.googlevideo.com", 443), timeout=1)
    assert connected == ["93.184.216.34"] * 3, "nothing inside was connected to"


def test_a_name_with_one_address_outside_and_one_inside_is_refused_as_a_whole(monkeypatch):
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(network, "resolve", lambda *args, **kwargs: both)
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: pytest.fail(f"connected to {address}"))
    with network.only_to(("rebind.googlevideo.com",)), pytest.raises(network.ConnectionRefusedByPolicy):
        socket.create_connection(("rebind.googlevideo.com", 443), timeout=1)
