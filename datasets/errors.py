"""The facts that can stop work in this app. Each message names the value and the way out: people read it."""


class MERError(Exception):
    """Root of every error that a person is meant to read."""


class DatasetsError(MERError):
    """Root of the errors of this app."""


class WrongState(DatasetsError):
    """A state change was asked of a row that is no longer in the state the change starts from."""


class JobCancelled(DatasetsError):
    """A person asked for the work to stop."""


class JobInterrupted(DatasetsError):
    """The machine is shutting down: the work goes back to the queue."""


class TrackExists(DatasetsError):
    """The same source or the same file is already in the dataset, as the track with the number `track_id`."""

    def __init__(self, message: str, track_id: int | None) -> None:
        super().__init__(message)
        self.track_id = track_id


class SourceRefused(DatasetsError):
    """A source that cannot be brought in: unknown address, missing file, too large."""


class DiskFull(DatasetsError):
    """No room for a file."""


class ValueRefused(DatasetsError):
    """A value outside its bounds: a name that is no name, a seed that is no seed."""


class NameTaken(DatasetsError):
    """The name is in use."""


class NothingToFreeze(DatasetsError):
    """No track has a settled label."""
