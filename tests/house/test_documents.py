"""Documents that cannot rot: every setting and command is described."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_setting_is_in_the_table_of_the_readme():
    settings = (ROOT / "config" / "settings.py").read_text()
    names = set(re.findall(r'env\.\w+\("([A-Z0-9_]+)"', settings)) | {"DATABASE_URL", "AUDIO_CONCURRENCY"}
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


def test_a_malformed_setting_stops_the_start_with_its_name():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=os.environ | {"PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and "PORT" in done.stderr
