from django.apps import AppConfig


class AnnotateConfig(AppConfig):
    name = "annotate"

    def ready(self) -> None:
        from annotate.services import arrivals, questionnaires

        questionnaires.connect()
        arrivals.connect()
