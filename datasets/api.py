from typing import cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Count
from django.http import Http404
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from datasets import selectors
from datasets.access import IsCurator, IsReader
from datasets.models import Export, Fault, Release, Track
from datasets.parsers import PlainJSONParser
from datasets.renderers import BundleRenderer
from datasets.responses import bundle_response
from datasets.serializers import (
    AddTrackSerializer,
    ErratumSerializer,
    ExportSerializer,
    FaultAnswerSerializer,
    FaultSerializer,
    ReleaseSerializer,
    TrackSerializer,
)
from datasets.services import releases, tracks


class TrackViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Track]):
    """Tracks: list them, bring one in by file or YouTube address."""

    queryset = Track.objects.select_related("dataset").order_by("id")
    serializer_class = TrackSerializer
    permission_classes = [IsCurator]
    parser_classes = [MultiPartParser, FormParser, PlainJSONParser]

    @extend_schema(request=AddTrackSerializer, responses={202: TrackSerializer})
    def create(self, request: Request) -> Response:
        serializer = AddTrackSerializer(data=request.data)
        if refused := getattr(request._request, "refused_uploads", []):
            raise ValidationError({"file": f"{refused[0]} is larger than {settings.UPLOAD_MAX_MB} MB (the setting UPLOAD_MAX_MB)."})
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        common = {name: data[name] for name in ("title", "artist", "licence")} | {"by": cast(User, request.user)}
        common["dataset"] = data.get("dataset") or tracks.default_dataset()
        if "address" in data:
            job = tracks.add_youtube(address=data["address"], **common)
        else:
            job = tracks.add_file(file=data["file"], filename=data["file"].name, external_id=data["external_id"], **common)
        track = Track.objects.get(pk=job.subject_id)
        return Response(TrackSerializer(track).data, status=status.HTTP_202_ACCEPTED)


class ReleaseViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Release]):
    """Frozen releases; a new one is frozen at `questionnaires/{id}/freeze/`."""

    queryset = Release.objects.select_related("dataset").annotate(n_items=Count("items")).order_by("id")
    serializer_class = ReleaseSerializer
    permission_classes = [IsCurator]
    lookup_field = "name"

    @extend_schema(request=ExportSerializer, responses={202: ExportSerializer})
    @action(detail=True, methods=["post"])
    def export(self, request: Request, name: str) -> Response:
        """Queue the bundle of the release; its job says how far it is."""
        serializer = ExportSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        export = releases.request_export(self.get_object(), format=serializer.validated_data["format"], by=cast(User, request.user))
        return Response(ExportSerializer(export).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=FaultSerializer, responses={201: FaultSerializer})
    @action(detail=True, methods=["post"], permission_classes=[IsReader])
    def faults(self, request: Request, name: str) -> Response:
        """Report a faulty label; it waits in the release's queue."""
        serializer = FaultSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fault = releases.report_fault(self.get_object(), by=cast(User, request.user), **serializer.validated_data)
        return Response(FaultSerializer(fault).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ErratumSerializer, responses={201: ErratumSerializer})
    @action(detail=True, methods=["post"])
    def errata(self, request: Request, name: str) -> Response:
        """What was found to be wrong, told beside the release."""
        serializer = ErratumSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        erratum = releases.add_erratum(self.get_object(), serializer.validated_data["text"], by=cast(User, request.user))
        return Response(ErratumSerializer(erratum).data, status=status.HTTP_201_CREATED)


class FaultViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Fault]):
    """Reports of faulty labels, those that wait for an answer first; a new one is made at `releases/{name}/faults/`."""

    queryset = selectors.faults_of()
    serializer_class = FaultSerializer
    permission_classes = [IsCurator]

    @extend_schema(request=FaultAnswerSerializer, responses=FaultSerializer)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, pk: int) -> Response:
        """Accept or decline a report, once; what is accepted becomes an erratum of the release."""
        serializer = FaultAnswerSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        fault = self.get_object()
        releases.answer_fault(fault, by=cast(User, request.user), **serializer.validated_data)
        return Response(FaultSerializer(self.get_object()).data)


class ExportViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet[Export]):
    """A bundle that was asked for: its job says how far it is, `download` sends it."""

    queryset = Export.objects.select_related("release", "job").order_by("id")
    serializer_class = ExportSerializer
    permission_classes = [IsCurator]

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    @action(detail=True, renderer_classes=[BundleRenderer])
    def download(self, request: Request, pk: int) -> HttpResponseBase:
        """The bundle, by HTTP Range: a download that broke goes on where it ended."""
        export = self.get_object()
        if not export.file:
            raise Http404(_("The bundle is not written yet."))
        return bundle_response(request._request, export)
