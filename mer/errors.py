"""The facts that can stop spectrograms and training; see datasets.errors for the root."""

from datasets.errors import MERError


class MerAppError(MERError):
    """Root of the errors of this app."""


class SpectrogramImpossible(MerAppError):
    """The track cannot give the picture that was asked for; the message says why."""


class TrainingImpossible(MerAppError):
    """The run cannot be trained; the message says what to change."""


class PredictionImpossible(MerAppError):
    """The run has no model to predict with; the message says which run has."""


class WeightsMissing(MerAppError):
    """Weights that come with a package of their own are not installed; the message says how to get them."""
