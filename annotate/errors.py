"""The facts that can stop rating; see datasets.errors for the root."""

from datasets.errors import MERError


class AnnotateError(MERError):
    """Root of the errors of this app."""


class SlotGone(AnnotateError):
    """The reserved slot ran out, was taken back, or was used already."""


class UnknownWord(AnnotateError):
    """A word that is not in the questionnaire."""


class AnswerRefused(AnnotateError):
    """An answer that the questionnaire does not know, or one that is missing."""


class AlreadyRated(AnnotateError):
    """One rating per rater and track."""


class TooFast(AnnotateError):
    """Less was heard than the questionnaire asks for; `wait_s` says how long to go on listening."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class NothingToUndo(AnnotateError):
    """There is no rating that could be taken back."""


class InviteRefused(AnnotateError):
    """The invite link is unknown, expired, revoked or used up."""


class NotInvited(AnnotateError):
    """The rater takes part in other questionnaires only."""


class RowsRefused(AnnotateError):
    """Rows of an imported table that cannot be taken."""


class WayNotDone(AnnotateError):
    """Consent or another step comes before the first track."""


class EraseRefused(AnnotateError):
    """The account has other work here, and cannot be destroyed as a rater's."""


class RatersUnconnected(AnnotateError):
    """No rater rated two tracks: a model of the raters cannot be fitted."""
