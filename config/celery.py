"""The queue: named queues (fetch, audio, train, sweep); tasks name theirs in CELERY_TASK_ROUTES."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("mer_studio")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
