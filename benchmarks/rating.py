"""Next + submit by 20 raters at once on the real server, on SQLite and on PostgreSQL: `make bench` or `python -m benchmarks.rating`.

Beside it, in the same run on the same server settings: a bare Django view. Then the same with 100,000 tracks and 450,000 ratings in the
database, one rater at a time, against 1,000 tracks.
"""

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RATERS = 20
TRACKS = 400
BARE_REQUESTS = 3000
SCALE_CYCLES = 60
ROUNDS = 5


class Client:
    """A browser as thin as can be: one kept-alive connection, raw HTTP, so that the load costs little of the same two cores."""

    def __init__(self, port: int, cookies: str = "") -> None:
        self.port, self.cookies, self.headers = port, cookies, ""
        self.socket: socket.socket | None = None

    def request(self, method: str, path: str, body: str = "", headers: str = "") -> tuple[int, bytes, str]:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {self.cookies}\r\n{headers}"
        if method == "POST":
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        data = (head + "\r\n" + body).encode()
        for attempt in (1, 2):
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(("127.0.0.1", self.port))
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.sendall(data)
                return self._answer()
            except (ConnectionError, IndexError):
                self.socket = None
                if attempt == 2:
                    raise
        raise AssertionError

    def _answer(self) -> tuple[int, bytes, str]:
        assert self.socket is not None
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            block = self.socket.recv(65536)
            if not block:
                raise ConnectionError
            buffer += block
        head, _, body = buffer.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        match = re.search(r"(?i)content-length: (\d+)", text)
        length = int(match.group(1)) if match else 0
        while len(body) < length:
            body += self.socket.recv(65536)
        if "connection: close" in text.lower():
            self.socket.close()
            self.socket = None
        return int(text[9:12]), body, text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(application: str) -> Iterator[int]:
    """The product's web server with its own settings file; only the application may differ."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "--bind", f"127.0.0.1:{port}", application]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        for _ in range(200):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def fill(n_tracks: int, *, rated: float = 0.0) -> Any:
    """A questionnaire with tracks that have waveforms; with `rated`, that share of all ratings is there already."""
    from django.utils import timezone

    from annotate.models import Assignment, Consensus, Questionnaire, Rater, Rating, place_in_queue
    from annotate.services.questionnaires import questionnaire_of
    from datasets.models import AudioFile, Track
    from datasets.services.tracks import create_dataset

    made = questionnaire_of(create_dataset(name=f"Bench {n_tracks}"))
    off = {f"with_{step}": False for step in ("consent", "background", "sound_check", "guidelines", "practice")}
    Questionnaire.objects.filter(pk=made.pk).update(minimum_s=0, **off)
    peaks = [(n * 37) % 100 for n in range(400)]
    tracks = [
        Track(dataset=made.dataset, title=f"T{n}", artist=f"A{n % 97}", source="file", state="ready", duration_s=200)
        for n in range(n_tracks)
    ]
    Track.objects.bulk_create(tracks, batch_size=1000)
    AudioFile.objects.bulk_create(
        (
            AudioFile(track=track, kind="wav", file=f"audio/{track.token}.wav", size=1, sha256="0", duration_s=200, peaks=peaks)
            for track in tracks[round(0.8 * n_tracks) if rated else 0 :]  # of those that can still be given out
        ),
        batch_size=1000,
    )
    raters = Rater.objects.bulk_create([Rater(pseudonym=f"b{n_tracks}-{n}") for n in range(500)]) if rated else []
    label = made.dataset.labels.get(order=0)
    n_ratings = round(5 * n_tracks * rated)
    rows, ratings = [], []
    now = timezone.now()
    for number, track in enumerate(tracks):
        # Most tracks are done, the others are somewhere on the way, as in a study that has run for a while.
        got = min(5, n_ratings) if number < 0.8 * n_tracks else min(1 + number % 4, n_ratings)
        n_ratings -= got
        rows.append(
            Consensus(
                questionnaire=made, track=track, target=5, n_ratings=got, position=place_in_queue(1, track.pk),
                state="agreed" if got == 5 else "open", votes={label.key: got} if got else {}, label=label if got == 5 else None,
            )
        )  # fmt: skip
        ratings += [
            Rating(questionnaire=made, track=track, rater=raters[(number * 7 + k * 101) % 500], label=label, rated_at=now)
            for k in range(got)
        ]
    Consensus.objects.bulk_create(rows, batch_size=1000)
    slots = (Assignment(questionnaire=made, track=one.track, rater=one.rater, state="rated", expires_at=now) for one in ratings)
    Assignment.objects.bulk_create(slots, batch_size=1000)
    Rating.objects.bulk_create(ratings, batch_size=1000)
    return Questionnaire.objects.get(pk=made.pk), len(ratings)


def log_in(names: list[str]) -> list[str]:
    """Sessions as the login page makes them."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User

    from config.sessions import SessionStore

    cookies = []
    for name in names:
        user = User.objects.create_user(name)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        cookies.append(f"sessionid={session.session_key}")
    return cookies


TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="(\w+)"')
COOKIE = re.compile(r"(?i)set-cookie: (csrftoken=\w+)")


def open_page(client: Client, path: str) -> None:
    """The page as it is loaded once; from then on it asks for the pieces alone."""
    status, page, head = client.request("GET", path)
    token, cookie = TOKEN.search(page), COOKIE.search(head)
    assert status == 200 and token and cookie, (status, page[:300])
    client.cookies += f"; {cookie.group(1)}"
    client.headers = f"Accept: application/json\r\nX-CSRFToken: {token.group(1).decode()}\r\n"


def cycle(client: Client, path: str, number: int) -> tuple[float, float] | None:
    """Next + submit as the page does them; (seconds of next, seconds of submit), None when nothing is left."""
    began = time.perf_counter()
    status, answer, _ = client.request("GET", path, headers=client.headers)
    middle = time.perf_counter()
    if status == 204:
        return None
    assert status == 200, (status, answer[:300])
    word = ("happy", "calm", "sad")[number % 3]
    body = f"word={word}&heard_s=20&heard_share=0.1&replays=0&hidden_s=0&key={os.urandom(16).hex()}"
    status, answer, _ = client.request("POST", json.loads(answer)["url"], body, client.headers)
    assert status == 201, (status, answer[:300])
    return middle - began, time.perf_counter() - middle


def crowd(port: int, cookies: list[str], path: str) -> tuple[float, list[float], int]:
    """All raters at once until nothing is left: wall seconds, seconds of each cycle, requests."""
    times: list[float] = []
    requests = [0]
    problems: list[str] = []

    def work(number: int) -> None:
        client = Client(port, cookies[number])
        n = number
        try:
            open_page(client, path)
            while True:
                spent = cycle(client, path, n)
                n += 1
                requests[0] += 2 if spent else 1
                if spent is None:
                    return
                times.append(sum(spent))
        except Exception as error:
            problems.append(repr(error))

    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(cookies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]
    return time.perf_counter() - began, times, requests[0]


def bare(port: int) -> float:
    """Requests a second of the bare view, by as many clients."""

    def work() -> None:
        client = Client(port)
        for _ in range(BARE_REQUESTS // RATERS):
            assert client.request("GET", "/")[0] == 200

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(RATERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return BARE_REQUESTS / (time.perf_counter() - began)


def one_at_a_time(port: int, cookie: str, path: str) -> float:
    client = Client(port, cookie)
    open_page(client, path)
    for number in range(20):
        cycle(client, path, number)
    spent = [cycle(client, path, number) for number in range(SCALE_CYCLES)]
    return statistics.median(sum(pair) for pair in spent if pair)


def measure(scale: bool) -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from annotate.models import Consensus

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    warm_up, _ = fill(40)
    questionnaire, _ = fill(TRACKS)
    cookies = log_in([f"rater{n}" for n in range(RATERS)])
    path = f"/rate/{questionnaire.pk}/"
    result: dict[str, Any] = {"database": connection.vendor}
    with server("benchmarks.bare:application") as port:
        bare(port)
        first = bare(port)
    with server("config.wsgi") as port:
        crowd(port, cookies, f"/rate/{warm_up.pk}/")
        wall, times, requests = crowd(port, cookies, path)
    with server("benchmarks.bare:application") as port:
        bare(port)
        second = bare(port)
    counts = Counter(Consensus.objects.filter(questionnaire=questionnaire).values_list("n_ratings", flat=True))
    result |= {
        "cycles_per_s": len(times) / wall,
        "p50_ms": 1000 * statistics.median(times),
        "p95_ms": 1000 * statistics.quantiles(times, n=20)[-1],
        "ratings_per_track": dict(counts),
        "requests_per_s": requests / wall,
        "bare_requests_per_s": (first + second) / 2,
        "share_of_bare": requests / wall / ((first + second) / 2),
    }
    if scale:
        seconds = []
        for n_tracks in (1000, 100_000):  # the smaller one is measured before the larger one is there
            filled, n_ratings = fill(n_tracks, rated=0.9)
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            rounds = []
            for number in range(ROUNDS):  # what else the machine does comes and goes within seconds
                (cookie,) = log_in([f"alone{n_tracks}-{number}"])
                with server("config.wsgi") as port:
                    rounds.append(one_at_a_time(port, cookie, f"/rate/{filled.pk}/"))
            seconds.append(statistics.median(rounds))
        result |= {
            "median_ms_1000_tracks": 1000 * seconds[0], "median_ms_100000_tracks": 1000 * seconds[1],
            "scale_ratio": seconds[1] / seconds[0], "ratings": n_ratings,
        }  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="measure on the database of the environment (used by itself)")
    parser.add_argument("--no-scale", action="store_true", help="leave out the 100,000 tracks")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(not options.no_scale)))
        return
    from tests import postgres

    for address in ("", postgres.address()):
        with tempfile.TemporaryDirectory(prefix="mer-bench-") as folder:
            environment = os.environ | {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"}
            environment |= {"DATABASE_URL": address} if address else {}
            command = [sys.executable, "-m", "benchmarks.rating", "--here", *(["--no-scale"] if options.no_scale else [])]
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        print_result(json.loads(done.stdout.splitlines()[-1]))


def print_result(result: dict[str, Any]) -> None:
    def say(text: str) -> None:
        print(text, flush=True)

    say(f"{result['database']}: {RATERS} raters at once, next + submit, {TRACKS} tracks of five")
    say(f"  {result['cycles_per_s']:.0f} cycles/s, median {result['p50_ms']:.0f} ms, p95 {result['p95_ms']:.0f} ms")
    say(f"  ratings per track: {result['ratings_per_track']}")
    share = f"{result['share_of_bare']:.2f} of a bare view's {result['bare_requests_per_s']:.0f}"
    say(f"  {result['requests_per_s']:.0f} requests/s: {share}")
    if "scale_ratio" in result:
        say(
            f"  one rater: {result['median_ms_1000_tracks']:.1f} ms with 1,000 tracks, {result['median_ms_100000_tracks']:.1f} ms with "
            f"100,000 and {result['ratings']:,} ratings: {result['scale_ratio']:.2f} times"
        )


if __name__ == "__main__":
    main()
