"""The REST API under /api/v1/: everything the pages do, the API does. Each app serves its own resources."""

from typing import Any

from django.db import DataError
from rest_framework import status
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import exception_handler as default_handler

from annotate import api as annotate
from annotate.errors import AlreadyRated, NothingToUndo, NotInvited, SlotGone, TooFast, WayNotDone
from datasets import api as datasets
from datasets.errors import MERError, NameTaken, TrackExists, WrongState
from mer import api as mer

CONFLICTS = (WrongState, NameTaken, TrackExists, SlotGone, AlreadyRated, TooFast, NothingToUndo, WayNotDone)

router = DefaultRouter()
router.register("tracks", datasets.TrackViewSet)
router.register("questionnaires", annotate.QuestionnaireViewSet)
router.register("assignments", annotate.AssignmentViewSet)
router.register("ratings", annotate.RatingViewSet)
router.register("invites", annotate.InviteViewSet)
router.register("raters", annotate.RaterViewSet)
router.register("consensus", annotate.ConsensusViewSet)
router.register("doubts", annotate.DoubtViewSet, basename="doubt")
router.register("releases", datasets.ReleaseViewSet)
router.register("faults", datasets.FaultViewSet)
router.register("exports", datasets.ExportViewSet)
router.register("runs", mer.RunViewSet)
router.register("predictions", mer.PredictionViewSet)
router.register("inferences", mer.InferenceViewSet)
router.register("compare", mer.CompareViewSet, basename="compare")
router.register("paper", mer.PaperViewSet, basename="paper")


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """A fact that people are meant to read becomes 409 (the state does not allow it) or 400 (the request cannot be right)."""
    if isinstance(error, RecursionError):  # JSON nested a thousand times
        return Response({"detail": "The request is nested too deeply."}, status=status.HTTP_400_BAD_REQUEST)
    if isinstance(error, NotInvited):
        return Response({"detail": str(error)}, status=status.HTTP_404_NOT_FOUND)
    if isinstance(error, MERError):
        code = status.HTTP_409_CONFLICT if isinstance(error, CONFLICTS) else status.HTTP_400_BAD_REQUEST
        wait = {"wait_s": error.wait_s} if isinstance(error, TooFast) else {}
        return Response({"detail": str(error)} | wait, status=code)
    if isinstance(error, DataError):
        return Response({"detail": "The request holds a value that cannot be stored."}, status=status.HTTP_400_BAD_REQUEST)
    return default_handler(error, context)
