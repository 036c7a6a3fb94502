from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets"

    def ready(self) -> None:
        from datasets.services import imports, tracks

        tracks.connect()
        imports.connect()
