"""The facts that can stop work in this app. Each message names the value and the way out: people read it."""


def is_of_storage(error: BaseException | None) -> bool:
    """Whether the place of the files failed: a folder that is away, a full disk, a bucket that does not answer."""
    return isinstance(error, OSError) or _is_of_bucket(error)


def _is_of_bucket(error: BaseException | None) -> bool:
    return type(error).__module__.partition(".")[0] in ("botocore", "boto3", "s3transfer")


def is_away(error: BaseException) -> bool:
    """Whether a bucket did not answer, or said that this passes; not that it refused, or holds no such object."""
    if not _is_of_bucket(error):
        return False
    # boto3 says that an upload failed, and what the bucket answered stands behind it.
    answer = getattr(error, "response", None) or getattr(error.__context__, "response", None) or {}
    return bool(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 503) >= 500)


class MERError(Exception):
    """Root of every error that a person is meant to read."""


class DatasetsError(MERError):
    """Root of the errors of this app."""


class WrongState(DatasetsError):
    """A state change was asked of a row that is no longer in the state the change starts from."""


class JobCancelled(DatasetsError):
    """A person asked for the work to stop."""


class JobTakenOver(JobCancelled):
    """The claim is lost: another worker holds the job."""


class JobInterrupted(DatasetsError):
    """The machine is shutting down: the work goes back to the queue."""


class NotHereYet(DatasetsError):
    """What the work needs is on its way."""


class TryLater(DatasetsError):
    """Something that may pass: the job goes back to the queue and is tried again after `wait_s` seconds.

    Unless it is `free`, the attempt counts, and the last of them fails with the reason.
    """

    def __init__(self, message: str, *, wait_s: float, free: bool = False) -> None:
        super().__init__(message)
        self.wait_s, self.free = wait_s, free


class TrackExists(DatasetsError):
    """The same source or the same file is already in the dataset, as the track with the number `track_id`."""

    def __init__(self, message: str, track_id: int | None) -> None:
        super().__init__(message)
        self.track_id = track_id


class SourceRefused(DatasetsError):
    """A source that cannot be brought in: unknown address, missing file, too large."""


class PolicyRefused(DatasetsError):
    """The dataset does not take such recordings; the message names the rule."""


class DiskFull(DatasetsError):
    """No room for a file."""


class ValueRefused(DatasetsError):
    """A value outside its bounds: a name that is no name, a seed that is no seed."""


class NameTaken(DatasetsError):
    """The name is in use."""


class NothingToFreeze(DatasetsError):
    """No track has a settled label."""
