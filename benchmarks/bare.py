"""What the rating routes are measured against: a Django view with one SELECT and one committed INSERT, and nothing else."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings

settings.MIDDLEWARE = []
settings.ROOT_URLCONF = __name__

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path


def view(request: HttpRequest) -> HttpResponse:
    from datasets.models import Event, Track

    track = Track.objects.order_by("id").values_list("id", flat=True)[0]
    Event.objects.create(subject="bare", subject_id=track, to_state="seen")
    return HttpResponse(b"ok", headers={"Content-Length": "2"})


urlpatterns = [path("", view)]
application = get_wsgi_application()
