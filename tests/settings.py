"""The product's settings on a throw-away data folder, with cheap password hashes. Nothing else differs."""

import os
import tempfile

os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="mer-tests-")
os.environ.setdefault("HOST", "127.0.0.1")

from config.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "config.storage.WholeFiles"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, as in production: an in-memory database has locks of its own kind.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "test.sqlite3"}  # noqa: F405
