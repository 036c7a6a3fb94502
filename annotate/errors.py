"""The facts that can stop rating; see datasets.errors for the root."""

from datasets.errors import MERError


class AnnotateError(MERError):
    """Root of the errors of this app."""


class SlotGone(AnnotateError):
    """The reserved slot ran out, was taken back, or was used already."""


class UnknownWord(AnnotateError):
    """A word that is not in the questionnaire."""


class AlreadyRated(AnnotateError):
    """One rating per rater and track."""


class RowsRefused(AnnotateError):
    """Rows of an imported table that cannot be taken."""
