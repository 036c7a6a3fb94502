from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasetsConfig(AppConfig):
    name = "datasets"
    verbose_name = _("Tracks and releases")

    def ready(self) -> None:
        from datasets.services import imports, tracks

        tracks.connect()
        imports.connect()
