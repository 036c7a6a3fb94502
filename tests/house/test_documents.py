"""Documents that cannot rot: every setting and command is described."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_setting_is_in_the_table_of_the_readme():
    settings = (ROOT / "config" / "settings.py").read_text()
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', settings)) | {"DATABASE_URL", "AUDIO_CONCURRENCY"}
    table = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", (ROOT / "README.md").read_text(), flags=re.M))
    assert names == table


def test_every_command_is_in_the_guide():
    guide = (ROOT / "docs" / "guide" / "commands.md").read_text()
    for path in ROOT.glob("*/management/commands/[a-z]*.py"):
        assert f"`{path.stem}" in guide, path.stem


def test_every_link_between_documents_leads_somewhere():
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path} -> {target}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "eighty"), ("JOB_RETENTION_DAYS", "-5"), ("TIME_ZONE", "Mars/Olympus"), ("REDIS_URL", "http://x"), ("SECRET_KEY", "short"),
     ("WEB_CONCURRENCY", "0"), ("FETCH_PROXY", "socks5://x"), ("PROXY_COUNT", "-1")],
)  # fmt: skip
def test_a_setting_that_cannot_be_stops_the_start_with_its_name(name, value):
    line = [sys.executable, "manage.py", "check"]
    done = subprocess.run(line, cwd=ROOT, env=os.environ | {name: value}, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and name in done.stderr and "Traceback" not in done.stderr
