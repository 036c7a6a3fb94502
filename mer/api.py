from collections.abc import Callable
from typing import cast

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

from datasets.access import IsCurator
from datasets.errors import WrongState
from datasets.services import queue
from mer import services
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Prediction, Run
from mer.serializers import NewRunSerializer, PredictionSerializer, RunSerializer


class RunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Run]):
    """Training runs: start one, watch it, cancel or retry it."""

    queryset = Run.objects.select_related("release", "job", "split").prefetch_related("evaluations").order_by("-id")
    serializer_class = RunSerializer
    permission_classes = [IsCurator]

    @extend_schema(request=NewRunSerializer, responses={202: RunSerializer})
    def create(self, request: Request) -> Response:
        serializer = NewRunSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        run = services.create_run(
            release=data["release"],
            training=TrainingParams.of(data["network"], epochs=data["epochs"], seed=data["seed"]),
            spectrograms=SpectrogramParams(input=data["input"], recipe=data["recipe"]),
            folds=data["folds"],
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
        return super().list(request)
