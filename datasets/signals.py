"""What the ground floor announces, so that the floors above can follow without being known here.

track_ready(track): sent inside the transaction that makes a track ready.
job_failed(job): sent inside the transaction that ends a job as failed or cancelled.
job_retried(job, by): sent inside the transaction that queues such a job again.
bundle_writing(release): receivers return an iterable of (path in the bundle, open function) to be written with it.
release_preparing(tracks, draw): receivers return {track id: reason} for those of the tracks whose files are not complete; with `draw` they
first make what nobody has come to yet.
release_arrived(release, numbers, by): of a release which another studio froze, for its tracks from number to number; inside a transaction.
signals_written(release, run): sent inside the transaction that stores what a run says of tracks.
"""

from django.dispatch import Signal

track_ready = Signal()
job_failed = Signal()
job_retried = Signal()
bundle_writing = Signal()
release_preparing = Signal()
release_arrived = Signal()
signals_written = Signal()
