from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MerConfig(AppConfig):
    name = "mer"
    verbose_name = _("Networks and runs")

    def ready(self) -> None:
        from mer.services import folds, inputs

        folds.connect()
        inputs.connect()
