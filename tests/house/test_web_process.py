"""What the web process never loads, and what every process may import."""

import json
import subprocess
import sys

PROGRAM = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
from django.urls import get_resolver
def walk(resolver):
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            walk(pattern)
walk(get_resolver())
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""
FORBIDDEN = {"tensorflow", "keras", "librosa", "yt_dlp", "pandas", "scipy", "sklearn", "numba", "av", "soundfile"}


def test_the_web_process_loads_no_heavy_library():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.strip().splitlines()[-1]))
    assert {"config", "datasets", "annotate", "mer"} <= loaded
    assert loaded & FORBIDDEN == set()
