"""Answers of the API that are no JSON: the bytes are sent as they are."""

import json

from rest_framework.renderers import BaseRenderer


class BytesRenderer(BaseRenderer):
    """Lets a client ask for this kind of file."""

    def render(self, data: object, *args: object, **kwargs: object) -> bytes:
        """Only errors come here as data."""
        return json.dumps(data, default=str).encode()


class AudioRenderer(BytesRenderer):
    media_type, format = "audio/*", "audio"


class BundleRenderer(BytesRenderer):
    media_type, format = "application/zip", "zip"
