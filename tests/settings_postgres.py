"""The same settings on PostgreSQL."""

import os

from tests import postgres

os.environ["DATABASE_URL"] = postgres.address()

from tests.settings import *  # noqa: F403
