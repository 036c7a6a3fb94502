from typing import cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from annotate import disagreement, selectors
from annotate.models import Assignment, Consensus, Invite, Questionnaire, Rater, Rating, Review
from annotate.serializers import (
    AssignmentSerializer,
    ChangeSerializer,
    ConsensusSerializer,
    DeclineSerializer,
    DoubtSerializer,
    DraftSerializer,
    FreezeSerializer,
    InviteSerializer,
    NewRatingSerializer,
    NextSerializer,
    QualitySerializer,
    QuestionnaireSerializer,
    RatingSerializer,
    ReviewSerializer,
    RulingSerializer,
    SetAsideSerializer,
    StepSerializer,
    UndoSerializer,
)
from annotate.services import freezing, questionnaires, raters, ratings, reviews, slots
from datasets import selectors as ground
from datasets.access import IsAdmin, IsCurator
from datasets.models import Label, Release
from datasets.renderers import AudioRenderer
from datasets.responses import audio_response
from datasets.selectors import can_curate
from datasets.serializers import ReleaseSerializer
from datasets.services.signals import note_doubts_seen


class QuestionnaireViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Questionnaire]):
    queryset = Questionnaire.objects.select_related("dataset").order_by("id")
    serializer_class = QuestionnaireSerializer

    def get_queryset(self) -> QuerySet[Questionnaire]:
        """All for curators; those that they may rate for raters."""
        if getattr(self, "swagger_fake_view", False) or can_curate(self.request.user):
            return super().get_queryset()
        return selectors.questionnaires_for(cast(User, self.request.user)).order_by("id")

    @extend_schema(request=StepSerializer, responses={200: StepSerializer(many=False)})
    @action(detail=True, methods=["post"])
    def steps(self, request: Request, pk: int) -> Response:
        """Pass a step of the way to the first track; consent needs `agree`. Answers the step that comes next, empty when none does."""
        mine = raters.participation_of(cast(User, request.user), self.get_object())
        serializer = StepSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        raters.pass_step(mine, serializer.validated_data["step"], by="api")
        return Response({"step": mine.next_step or ""})

    @extend_schema(
        request=FreezeSerializer, responses={201: ReleaseSerializer, 409: OpenApiResponse(description="The name is taken")}
    )
    @action(detail=True, methods=["post"], permission_classes=[IsCurator])
    def freeze(self, request: Request, pk: int) -> Response:
        """Freeze the agreed tracks as a release with an 80/10/10 split."""
        serializer = FreezeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        release = freezing.freeze(self.get_object(), by=cast(User, request.user), **serializer.validated_data)
        release.n_items = release.items.count()  # type: ignore[attr-defined]
        return Response(ReleaseSerializer(release).data, status=status.HTTP_201_CREATED)


UUID = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


class AssignmentViewSet(viewsets.GenericViewSet[Assignment]):
    """The caller's slots; nobody else's exist for the caller."""

    queryset = Assignment.objects.all()
    serializer_class = AssignmentSerializer
    lookup_field = "key"
    lookup_value_regex = UUID

    def get_queryset(self) -> QuerySet[Assignment]:
        if getattr(self, "swagger_fake_view", False):
            return Assignment.objects.none()
        mine = Assignment.objects.filter(rater__user=cast(User, self.request.user))
        return mine.select_related("questionnaire", "track")

    @extend_schema(request=NextSerializer, responses={200: AssignmentSerializer, 204: OpenApiResponse(description="None is left")})
    def create(self, request: Request) -> Response:
        """The caller's next track: the open slot if there is one, else a new one; 204 when none is left."""
        serializer = NextSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        mine = raters.ready(raters.participation_of(cast(User, request.user), data["questionnaire"]))
        reserve = slots.reserve_ahead if data["ahead"] else slots.reserve_next
        slot = reserve(mine.questionnaire, mine.rater)
        if slot is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(AssignmentSerializer(slot, context={"request": request}).data)

    @extend_schema(request=None, responses={200: AssignmentSerializer})
    @action(detail=True, methods=["post"])
    def shown(self, request: Request, key: str) -> Response:
        """The track is shown to the rater: the clock of listening starts."""
        slot = self.get_object()
        slots.report_shown(slot)
        return Response(AssignmentSerializer(slot, context={"request": request}).data)

    @extend_schema(request=DraftSerializer, responses={204: None, 409: OpenApiResponse(description="The slot is gone")})
    @action(detail=True, methods=["post"])
    def draft(self, request: Request, key: str) -> Response:
        """Keep what is chosen and heard so far, and the slot's lease alive."""
        serializer = DraftSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        draft = serializer.validated_data["draft"]
        if not isinstance(draft, dict):
            raise ValidationError({"draft": ["A draft is a JSON object."]})
        slots.save_draft(self.get_object(), draft)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=DeclineSerializer, responses={204: None, 409: OpenApiResponse(description="It was rated already")})
    @action(detail=True, methods=["post"])
    def decline(self, request: Request, key: str) -> Response:
        """The track cannot be rated; a curator sees why."""
        serializer = DeclineSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        slots.decline(self.get_object(), **serializer.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={(200, "audio/*"): OpenApiTypes.BINARY})
    @action(detail=True, renderer_classes=[AudioRenderer])
    def audio(self, request: Request, key: str) -> HttpResponseBase:
        """The sound of the caller's slot, by HTTP Range."""
        played = ground.played_file(self.get_object().track)
        if played is None:
            raise Http404
        return audio_response(request._request, played)


class RatingViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Rating]):
    """The caller's own ratings."""

    queryset = Rating.objects.none()
    serializer_class = RatingSerializer

    def get_queryset(self) -> QuerySet[Rating]:
        if getattr(self, "swagger_fake_view", False):
            return Rating.objects.none()
        mine = Rating.objects.filter(rater__user=cast(User, self.request.user))
        return mine.select_related("word", "label", "assignment").order_by("-id")

    @extend_schema(
        request=NewRatingSerializer,
        responses={201: RatingSerializer, 409: OpenApiResponse(description="The slot is gone, or too little was heard")},
    )
    def create(self, request: Request) -> Response:
        """Close a slot with a word."""
        serializer = NewRatingSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        mine = Assignment.objects.select_related("questionnaire", "track").filter(rater__user=cast(User, request.user))
        slot = mine.filter(key=data["assignment"]).first()
        if slot is None:
            raise Http404("You hold no such slot.")
        names = ("valence", "arousal", "confidence", "known", "vocals", "answers")
        answer = ratings.Answer(**{name: data[name] for name in names if name in data})
        listening = ratings.Listening(**{name: data[name] for name in ("heard_s", "heard_share", "replays", "hidden_s")})
        rating = ratings.submit_rating(slot, word_key=data["word"], answer=answer, listening=listening, key=data.get("key"))
        return Response(RatingSerializer(rating).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=UndoSerializer, responses={200: AssignmentSerializer})
    @action(detail=False, methods=["post"])
    def undo(self, request: Request) -> Response:
        """Take back the last rating: its slot is open again."""
        serializer = UndoSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        mine = raters.participation_of(cast(User, request.user), serializer.validated_data["questionnaire"])
        slot = ratings.undo_last(mine.questionnaire, mine.rater)
        return Response(AssignmentSerializer(slot, context={"request": request}).data)


class InviteViewSet(mixins.ListModelMixin, mixins.CreateModelMixin, viewsets.GenericViewSet[Invite]):
    """Links with which people become raters; for admins."""

    queryset = Invite.objects.select_related("questionnaire").order_by("-id")
    serializer_class = InviteSerializer
    permission_classes = [IsAdmin]

    def perform_create(self, serializer: BaseSerializer[Invite]) -> None:
        serializer.instance = raters.create_invite(by=cast(User, self.request.user), **serializer.validated_data)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: int) -> Response:
        raters.revoke_invite(self.get_object(), by=cast(User, request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class RaterViewSet(viewsets.GenericViewSet[Rater]):
    """Raters and the signs of their quality; for admins."""

    queryset = Rater.objects.all()
    serializer_class = QualitySerializer  # type: ignore[assignment]
    permission_classes = [IsAdmin]

    @extend_schema(
        parameters=[OpenApiParameter("questionnaire", int, required=True)], responses={200: QualitySerializer(many=True)}
    )
    def list(self, request: Request) -> Response:
        """Raters of a questionnaire, most ratings first."""
        serializer = UndoSerializer(data=request.query_params)
        serializer.is_valid(raise_exception=True)
        questionnaire = serializer.validated_data["questionnaire"]
        page = self.paginate_queryset(selectors.raters_of(questionnaire)) or []
        return self.get_paginated_response(QualitySerializer(selectors.quality_of(questionnaire, page), many=True).data)  # type: ignore[arg-type]

    @extend_schema(request=SetAsideSerializer, responses={200: ChangeSerializer(many=True)})
    @action(detail=True, methods=["post"], pagination_class=None)
    def set_aside(self, request: Request, pk: int) -> Response:
        """What setting the rater aside changes; with `apply` it is done."""
        serializer = SetAsideSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data, rater = serializer.validated_data, self.get_object()
        if data["apply"]:
            changes = raters.set_aside(rater, data["since"], by=cast(User, request.user))
        else:
            changes = raters.preview_set_aside(rater, data["since"])
        return Response(ChangeSerializer(changes, many=True).data)


class ConsensusViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Consensus]):
    """What the ratings of each track say; for curators only, because raters are blind."""

    queryset = Consensus.objects.select_related("label", "questionnaire").order_by("track_id")
    serializer_class = ConsensusSerializer
    permission_classes = [IsCurator]

    @extend_schema(request=RulingSerializer, responses={200: ConsensusSerializer})
    @action(detail=True, methods=["post"])
    def rule(self, request: Request, pk: int) -> Response:
        """Settle a track on which the raters do not agree, beside their votes, or take a ruling back."""
        row = self.get_object()
        serializer = RulingSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        key = serializer.validated_data["label"]
        label = Label.objects.filter(dataset=row.questionnaire.dataset_id, key=key).first() if key else None
        if key and label is None:
            raise ValidationError({"label": f"“{key}” is no label of the dataset."})
        questionnaires.rule_on(row, label=label, reason=serializer.validated_data["reason"], by=cast(User, request.user))
        return Response(ConsensusSerializer(self.get_object()).data)

    @extend_schema(request=None, responses={200: ConsensusSerializer})
    @action(detail=True, methods=["post"])
    def more(self, request: Request, pk: int) -> Response:
        """Ask two more raters."""
        row = self.get_object()
        questionnaires.ask_for_more(row.track, by=cast(User, request.user))
        return Response(ConsensusSerializer(self.get_object()).data)


class DoubtViewSet(viewsets.GenericViewSet[Review]):
    """Labels of a release that models doubt, and what is done about them."""

    queryset = Review.objects.select_related("release").order_by("-id")
    serializer_class = ReviewSerializer
    permission_classes = [IsCurator]

    @extend_schema(
        parameters=[
            OpenApiParameter("release", str, required=True),
            OpenApiParameter(
                "order", str, enum=list(disagreement.ORDERS), description="Whose doubt comes first; models, if not said."
            ),
        ],
        responses={200: DoubtSerializer(many=True)},
    )
    def list(self, request: Request) -> Response:
        """Tracks that are not dealt with yet, the most doubted first."""
        release = get_object_or_404(Release, name=request.query_params.get("release", ""))
        order = request.query_params.get("order", "models")
        if order not in disagreement.ORDERS:
            raise ValidationError({"order": f"“{order[:60]}” is none of {', '.join(disagreement.ORDERS)}."})
        page = self.paginate_queryset(disagreement.items_in_doubt(release, order=order)) or []
        if page:
            note_doubts_seen(release, cast(User, request.user))
        return self.get_paginated_response(DoubtSerializer(disagreement.doubts(release, page), many=True).data)

    @extend_schema(request=ReviewSerializer, responses={201: ReviewSerializer})
    def create(self, request: Request) -> Response:
        """Keep the label, send the track back, rule on it, or leave it out."""
        serializer = ReviewSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        item = get_object_or_404(data["release"].items.select_related("release__dataset", "track__dataset"), track=data["track"])
        label = Label.objects.filter(dataset=data["release"].dataset_id, key=data["label"]).first() if data["label"] else None
        if data["label"] and label is None:
            raise ValidationError({"label": f"“{data['label']}” is no label of the dataset."})
        by = cast(User, request.user)
        reviews.review(item, action=data["action"], label=label, reason=data["reason"], by=by, seen=data["seen"])
        return Response(data | {"release": data["release"].name}, status=status.HTTP_201_CREATED)
