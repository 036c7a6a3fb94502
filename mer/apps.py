from django.apps import AppConfig


class MerConfig(AppConfig):
    name = "mer"

    def ready(self) -> None:
        from mer.services import folds, inputs

        folds.connect()
        inputs.connect()
