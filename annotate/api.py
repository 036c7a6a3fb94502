import json
from typing import cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from annotate import services
from annotate.models import Assignment, Consensus, Questionnaire, Rating
from annotate.serializers import (
    AssignmentSerializer,
    ConsensusSerializer,
    FreezeSerializer,
    NewRatingSerializer,
    NextSerializer,
    QuestionnaireSerializer,
    RatingSerializer,
)
from datasets import selectors as ground
from datasets.access import IsCurator
from datasets.responses import audio_response
from datasets.serializers import ReleaseSerializer


class QuestionnaireViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Questionnaire]):
    queryset = Questionnaire.objects.select_related("dataset").order_by("id")
    serializer_class = QuestionnaireSerializer

    @extend_schema(
        request=FreezeSerializer, responses={201: ReleaseSerializer, 409: OpenApiResponse(description="The name is taken")}
    )
    @action(detail=True, methods=["post"], permission_classes=[IsCurator])
    def freeze(self, request: Request, pk: int) -> Response:
        """Freeze the agreed tracks as a release with an 80/10/10 split."""
        serializer = FreezeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        release = services.freeze(self.get_object(), by=cast(User, request.user), **serializer.validated_data)
        release.n_items = release.items.count()  # type: ignore[attr-defined]
        return Response(ReleaseSerializer(release).data, status=status.HTTP_201_CREATED)


class WavRenderer(BaseRenderer):
    """Lets a player ask for audio; the bytes are sent as they are."""

    media_type = "audio/wav"
    format = "wav"

    def render(self, data: object, *args: object, **kwargs: object) -> bytes:
        """Only errors come here as data."""
        return json.dumps(data, default=str).encode()


class AssignmentViewSet(viewsets.GenericViewSet[Assignment]):
    queryset = Assignment.objects.all()
    serializer_class = AssignmentSerializer

    @extend_schema(request=NextSerializer, responses={200: AssignmentSerializer, 204: OpenApiResponse(description="None is left")})
    def create(self, request: Request) -> Response:
        """The caller's next track: the open slot if there is one, else a new one; 204 when none is left."""
        serializer = NextSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        rater = services.rater_of(cast(User, request.user))
        assignment = services.reserve_next(serializer.validated_data["questionnaire"], rater)
        if assignment is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(AssignmentSerializer(assignment, context={"request": request}).data)

    @extend_schema(responses={(200, "audio/wav"): OpenApiTypes.BINARY})
    @action(detail=True, renderer_classes=[WavRenderer])
    def audio(self, request: Request, pk: int) -> HttpResponseBase:
        """The sound of the caller's slot, by HTTP Range."""
        mine = Assignment.objects.select_related("track").filter(pk=pk, rater__user=cast(User, request.user)).first()
        wav = ground.wav_of(mine.track) if mine else None
        if wav is None:
            raise Http404("You hold no such slot.")
        return audio_response(request._request, wav.file)


class RatingViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Rating]):
    """The caller's own ratings."""

    queryset = Rating.objects.none()
    serializer_class = RatingSerializer

    def get_queryset(self) -> QuerySet[Rating]:
        if getattr(self, "swagger_fake_view", False):
            return Rating.objects.none()
        return Rating.objects.filter(rater__user=cast(User, self.request.user)).select_related("word", "label").order_by("-id")

    @extend_schema(
        request=NewRatingSerializer, responses={201: RatingSerializer, 409: OpenApiResponse(description="The slot is gone")}
    )
    def create(self, request: Request) -> Response:
        """Close a slot with a word."""
        serializer = NewRatingSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        mine = (
            Assignment.objects.select_related("questionnaire")
            .filter(pk=data["assignment"], rater__user=cast(User, request.user))
            .first()
        )
        if mine is None:
            raise Http404("You hold no such slot.")
        rating = services.submit_rating(mine, word_key=data["word"], valence=data.get("valence"), arousal=data.get("arousal"))
        return Response(RatingSerializer(rating).data, status=status.HTTP_201_CREATED)


class ConsensusViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Consensus]):
    """What the ratings of each track say; for curators only, because raters are blind."""

    queryset = Consensus.objects.select_related("label").order_by("track_id")
    serializer_class = ConsensusSerializer
    permission_classes = [IsCurator]
