from functools import cache

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """The admin panel shows names of models and fields and their help in the reader's language, as all other texts.

        Here for all of them, so that no field can be forgotten; `make messages` collects them in the same way.
        """
        from config import security  # noqa: F401  (its checks, and what follows a new password)

        for owner, attribute, text in model_texts():
            setattr(owner, attribute, gettext_lazy(text))


@cache
def model_texts() -> list[tuple[object, str, str]]:
    """(where it stands, attribute, text) of every name and help of our models, as it is in the code."""
    found: list[tuple[object, str, object]] = []
    for app in ("datasets", "annotate", "mer"):
        for model in apps.get_app_config(app).get_models():
            found += [(model._meta, "verbose_name", model._meta.verbose_name)]
            found += [(model._meta, "verbose_name_plural", model._meta.verbose_name_plural)]
            for field in model._meta.local_fields:
                found += [(field, "verbose_name", field.verbose_name), (field, "help_text", field.help_text)]
    return [(owner, attribute, text) for owner, attribute, text in found if isinstance(text, str) and text]
