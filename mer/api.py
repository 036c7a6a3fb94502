from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from datasets.access import IsCurator
from datasets.errors import MERError, WrongState
from datasets.models import Release
from datasets.services import queue
from datasets.services.signals import note_sight
from mer import comparing, replay, selectors
from mer.methods.params import SpectrogramParams
from mer.models import Inference, Prediction, Run
from mer.serializers import (
    AgainSerializer,
    AskSerializer,
    InferenceSerializer,
    NewRunSerializer,
    NotesSerializer,
    PaperSerializer,
    PredictionSerializer,
    PromotionSerializer,
    RunSerializer,
)
from mer.services import inferences, promotions, runs


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Run]):
    """Training runs: start one, watch it, cancel or retry it."""

    queryset = (
        Run.objects.select_related("release", "job", "split", "spectrogram_set").prefetch_related("evaluations").order_by("-id")
    )
    serializer_class = RunSerializer
    permission_classes = [IsCurator]

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        runs.note_opened(page or [], by=cast(User, self.request.user))
        return page

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        runs.note_opened([self.get_object()], by=cast(User, request.user))
        return super().retrieve(request, *args, **kwargs)

    @extend_schema(request=NewRunSerializer, responses={202: RunSerializer})
    def create(self, request: Request) -> Response:
        serializer = NewRunSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        run = runs.create_run(
            release=data["release"],
            training=serializer.training(),
            spectrograms=SpectrogramParams(input=data["input"], recipe=data["recipe"]),
            folds=data["folds"],
            members=data["members"],
            by=cast(User, request.user),
        )
        return Response(RunSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses={202: RunSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        return self._act(queue.cancel)

    @extend_schema(request=None, responses={202: RunSerializer})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        return self._act(queue.retry)

    @extend_schema(request=AgainSerializer, responses={202: RunSerializer})
    @action(detail=True, methods=["post"])
    def again(self, request: Request, pk: int) -> Response:
        """The same run once more."""
        run, data = self.get_object(), self._read(AgainSerializer)
        release = selectors.newest_release(run) if data["newest"] else None
        made = promotions.train_again(run, release=release, by=cast(User, request.user))
        return Response(RunSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=PromotionSerializer, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: int) -> Response:
        """The dataset goes by this run from now on."""
        run, data = self.get_object(), self._read(PromotionSerializer)
        verb = promotions.step_down if data["down"] else promotions.promote
        verb(run, by=cast(User, request.user), reason=data["reason"])
        return self.retrieve(request)

    @extend_schema(request=NotesSerializer, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def notes(self, request: Request, pk: int) -> Response:
        data = self._read(NotesSerializer)
        promotions.write_notes(self.get_object(), data["notes"], was=data["was"], by=cast(User, request.user))
        return self.retrieve(request)

    @extend_schema(
        request={"multipart/form-data": AskSerializer, "application/json": AskSerializer}, responses={202: InferenceSerializer}
    )
    @action(detail=True, methods=["post"])
    def predict(self, request: Request, pk: int) -> Response:
        """Ask the run about a track or a file; the answer is at `inferences` once its job is done."""
        run, data = self.get_object(), self._read(AskSerializer)
        file = data["file"]
        made = inferences.ask(run, track=data["track"], file=file, filename=file.name if file else "", by=cast(User, request.user))
        return Response(InferenceSerializer(made).data, status=status.HTTP_202_ACCEPTED)

    def _read(self, kind: type[BaseSerializer[Any]]) -> dict[str, Any]:
        serializer = kind(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _act(self, verb: Callable[..., None]) -> Response:
        run = self.get_object()
        if run.job is None:
            raise WrongState(_("The run has no job any more."))
        verb(run.job, by=cast(User, self.request.user))
        return Response(RunSerializer(self.get_object()).data, status=status.HTTP_202_ACCEPTED)


class PredictionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Prediction]):
    queryset = Prediction.objects.order_by("run_id", "track_id")
    serializer_class = PredictionSerializer
    permission_classes = [IsCurator]

    def get_queryset(self) -> QuerySet[Prediction]:
        run = self.request.query_params.get("run", "")
        if run and not (run.isdecimal() and len(run) < 19):
            raise ValidationError({"run": f"“{run}” is not the number of a run."})
        return super().get_queryset().filter(run=int(run)) if run else super().get_queryset()

    @extend_schema(parameters=[OpenApiParameter("run", OpenApiTypes.INT, description="Only this run's predictions.")])
    def list(self, request: Request) -> Response:
        response = super().list(request)
        shown = {row["run"] for row in response.data["results"]}
        for release in Release.objects.filter(runs__in=shown).distinct():
            note_sight(release, cast(User, request.user))
        runs.note_opened(selectors.runs_of().filter(pk__in=shown), by=cast(User, request.user))
        return response


class InferenceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Inference]):
    """What runs said of recordings that they were asked about."""

    queryset = Inference.objects.select_related("job", "track", "run__release").order_by("-id")
    serializer_class = InferenceSerializer
    permission_classes = [IsCurator]

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset)
        inferences.note_seen(page or [], by=cast(User, self.request.user))
        return page

    def get_object(self) -> Inference:
        found = super().get_object()
        inferences.note_seen([found], by=cast(User, self.request.user))
        return found


def _numbers(request: Request, name: str) -> list[int]:
    asked = request.query_params.getlist(name)
    if wrong := [value for value in asked if not (value.isdecimal() and len(value) < 19)]:
        raise ValidationError({name: [f"“{wrong[0][:60]}” is not the number of a run."]})
    return [int(value) for value in asked]


class CompareViewSet(viewsets.GenericViewSet[Release]):
    """The finished runs of a release beside each other."""

    queryset = Release.objects.all()
    permission_classes = [IsCurator]
    lookup_field = "name"

    @extend_schema(
        parameters=[
            OpenApiParameter("run", int, many=True, description="Only these, on the test tracks that all of them have."),
            OpenApiParameter("against", int, description="One of these: every other is judged against it."),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def retrieve(self, request: Request, name: str) -> Response:
        """Figures with n and intervals, verdicts with their numbers, what one rater scores, and the same as Markdown."""
        release = self.get_object()
        chosen, rival = _numbers(request, "run"), _numbers(request, "against")[-1:]
        done = set(selectors.runs_of(release).filter(pk__in=chosen, job__state="done").values_list("pk", flat=True))
        if unknown := sorted(set(chosen) - done):
            raise ValidationError({"run": [f"{release.name} has no finished run {unknown[0]}."]})
        if rival and rival[0] not in done:
            raise ValidationError({"against": [f"Run {rival[0]} is not among those that are compared: name it by run= too."]})
        comparison = comparing.compare(release, sorted(done), against=rival[0] if rival else None)
        if chosen:
            note_sight(release, cast(User, request.user))
        runs.note_opened([row.run for row in comparison.rows], by=cast(User, request.user))
        return Response(comparing.comparison_as_dict(comparison))


class PaperViewSet(viewsets.GenericViewSet[Release]):
    """The paper's study on a release, its figures beside ours."""

    queryset = Release.objects.all()
    serializer_class = PaperSerializer  # type: ignore[assignment]
    permission_classes = [IsCurator]
    lookup_field = "name"

    @extend_schema(parameters=[PaperSerializer], responses=OpenApiTypes.OBJECT)
    def retrieve(self, request: Request, name: str) -> Response:
        """Tables 4 and 5, verdicts and controls, and the same as Markdown; a run that is not trained has no figures."""
        release, _asked, done = self._steps(request.query_params)
        runs.note_opened([step.run for step in done if step.run], by=cast(User, request.user))
        return Response(replay.as_dict(release, done))

    @extend_schema(request=PaperSerializer, responses={202: OpenApiTypes.OBJECT})
    @action(detail=True, methods=["post"])
    def train(self, request: Request, name: str) -> Response:
        """Queue the runs that are missing; what cannot be queued is said with its reason, and keeps none of the others back."""
        release, asked, done = self._steps(request.data)
        made, refused = [], {}
        for step in done:
            if step.is_missing:
                try:
                    run = runs.create_run(
                        release=release, training=step.training, spectrograms=step.spectrograms, folds=asked["folds"], by=cast(User, request.user)
                    )  # fmt: skip
                    made.append(run.pk)
                except MERError as fact:
                    refused[f"{step.title}, {step.spectrograms.input}"] = str(fact)
        return Response({"queued": made, "refused": refused}, status=status.HTTP_202_ACCEPTED)

    def _steps(self, said: Any) -> tuple[Release, dict[str, Any], list[replay.Step]]:
        serializer = PaperSerializer(data=said)
        serializer.is_valid(raise_exception=True)
        release, asked = self.get_object(), dict(serializer.validated_data)
        return release, asked, replay.steps(release, **asked)
