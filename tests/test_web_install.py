"""What the web image installs, by the same script: it answers pages with nothing heavy in it."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.browser.conftest import ROOT, free_port

pytestmark = pytest.mark.stack
MOST_MB = 420  # of packages; those of the worker take 2.5 GB


def test_the_packages_of_the_web_image_answer_pages_and_are_few(tmp_path):
    for name in ("requirements-web.txt", "docker/install.sh"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["sh", "install.sh", "web"], cwd=tmp_path, env=os.environ | {"PYTHON": sys.executable}, check=True)
    python = tmp_path / ".venv" / "bin" / "python"
    size = sum(path.stat().st_size for path in (tmp_path / ".venv").rglob("*") if path.is_file() and not path.is_symlink())
    packages = {path.name.partition("-")[0].lower() for path in (tmp_path / ".venv").glob("lib/*/site-packages/*.dist-info")}
    print(f"{size / 1e6:.0f} MB, {len(packages)} packages")
    assert not packages & {"tensorflow", "keras", "librosa", "yt_dlp", "numba", "pydub", "imageio_ffmpeg"}
    assert size < MOST_MB * 1e6
    data, port = tmp_path / "data", free_port()
    environment = {
        "PATH": "/nowhere",
        "HOME": str(tmp_path),
        "DATA_DIR": str(data),
        "PORT": str(port),
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    for arguments in (["migrate", "--verbosity", "0"], ["collectstatic", "--verbosity", "0", "--noinput"]):
        subprocess.run([python, "manage.py", *arguments], cwd=ROOT, env=environment, check=True)
    web = subprocess.Popen(
        [python, "-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi"], cwd=ROOT, env=environment
    )
    try:
        for _ in range(100):
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/login/", timeout=2).read().decode()
                break
            except OSError:
                time.sleep(0.2)
        assert "MER Studio" in page
        doctor = subprocess.run(
            [python, "manage.py", "doctor"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert "this machine only answers pages" in doctor.stdout
    finally:
        web.terminate()
        web.wait(timeout=30)
