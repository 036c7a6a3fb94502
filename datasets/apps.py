from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class DatasetsConfig(AppConfig):
    name = "datasets"
    verbose_name = _("Tracks and releases")

    def ready(self) -> None:
        from datasets.services import imports, tracks

        tracks.connect()
        imports.connect()
        post_migrate.connect(_make_groups, sender=self)


def _make_groups(sender: AppConfig, **kwargs: object) -> None:
    """However a studio is set up, curators and guests are groups that an account can be put into."""
    from django.contrib.auth.management import create_permissions

    from datasets import access

    create_permissions(sender, verbosity=0)
    access.curators()
    access.guests()
