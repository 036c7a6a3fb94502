"""One YouTube address through yt-dlp itself, with a local server in the place of the site's media host.

YouTube's own pages cannot be reached from a build machine: only the step that reads them is replaced by recorded info; URL
matching, `allowed_extractors`, format choice, policy, download and storage are the product's own.
"""

import http.server
import threading
from collections.abc import Iterator

import pytest
from yt_dlp.extractor.youtube import YoutubeIE
from yt_dlp.utils import ExtractorError

from datasets import jobs
from datasets.errors import TrackExists
from datasets.models import Job, Track
from datasets.services import queue, tracks
from tests.conftest import tone

pytestmark = pytest.mark.django_db
ADDRESS = "https://youtu.be/-bWEtTTXHyI"


class Site(http.server.BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, bytes]] = {}

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "audio/wav")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        return None


@pytest.fixture
def site() -> Iterator[str]:
    Site.answers = {"/sound.wav": (200, tone(2.0)), "/broken.wav": (500, b"")}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def recorded(monkeypatch, site):
    """Answer as YouTube's page would, with the sound on the local server."""

    def set_info(path: str = "/sound.wav", **values) -> None:
        def extract(self, url):
            if "error" in values:
                raise ExtractorError(values["error"], expected=True)
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


@pytest.mark.parametrize("path", ["/broken.wav", "/gone.wav"])
def test_a_broken_download_fails_with_a_reason(dataset, recorded, path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    recorded(path)
    _job, track = fetch(dataset)
    assert track.state == "failed" and "could not be fetched" in track.reason


def test_the_same_video_twice_is_refused(dataset, recorded):
    recorded()
    fetch(dataset)
    with pytest.raises(TrackExists, match="already in"):
        tracks.add_youtube(dataset=dataset, address="https://www.youtube.com/watch?v=-bWEtTTXHyI", wake_worker=False)
