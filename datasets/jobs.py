"""The whole story of each piece of heavy work of this app; callable from a worker, a command, a shell or a test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import shuffle
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db.models.fields.files import FieldFile

from datasets import contents, selectors
from datasets.errors import JobCancelled, NotHereYet, PolicyRefused, TryLater, WrongState
from datasets.methods import addresses, audio, bundles, formats, youtube
from datasets.methods.formats import audiofolder, croissant, datasheet, jams, mirdata, record, refetch
from datasets.methods.formats import tables as table_formats
from datasets.models import AudioFile, Dataset, Export, Import, ReleaseImport, Track
from datasets.services import arrivals, duplicates, imports, links, queue, tracks
from datasets.services.queue import Ticket
from datasets.signals import bundle_writing

LEFT_FOR_S = 24 * 3600


def sweep_folders() -> None:
    """Of workers that were killed, whose jobs ended elsewhere."""
    queue.remove_work_folders()
    for kind in ("convert", "print"):
        queue.remove_left(kind, 3600)
    queue.remove_left("", LEFT_FOR_S)  # anything else, also what a killed web process took in


def fetch_track(ticket: Ticket) -> None:
    """YouTube -> the original file. A killed download leaves a folder with its part, from which the next attempt goes on."""
    track = Track.objects.select_related("dataset").get(pk=ticket.job.subject_id)
    if track.files.filter(kind=AudioFile.Kind.ORIGINAL).exists():
        return  # a worker died between the result and the end of the job: nothing is left to do
    tracks.start_step(track, Track.State.FETCHING)
    sweep_folders()
    try:
        with queue.work_folder(ticket) as folder, _by_its_cure(ticket, track):
            fetched = youtube.fetch(
                track.external_id,
                folder,
                access=imports.access(),
                max_duration_s=_longest_original(track),
                max_bytes=settings.UPLOAD_MAX_MB * 1024**2,
                age_restricted=track.dataset.age_restricted,
                live_recordings=track.dataset.live_recordings,
                made_for_kids=track.dataset.made_for_kids,
                on_progress=ticket.progress,
            )
            with fetched.path.open("rb") as file:
                original = File(file, name=fetched.path.name)
                tracks.finish_fetch(track, fetched, original, audio.sha256_of(file))
        queue.succeeded("fetch")
    except TryLater as fact:
        if fact.free or ticket.job.attempts < queue.MAX_TRIES:
            tracks.wait_for_another_try(track, str(fact))
        else:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _longest_original(track: Track) -> float:
    """A video may be as long as a track; of one that only a stretch is taken from, as long as the studio takes at all."""
    return settings.TRACK_MAX_MINUTES * 60.0 if track.stretch != (None, None) else track.dataset.longest


@contextmanager
def _by_its_cure(ticket: Ticket, track: Track | None = None) -> Iterator[None]:
    """Errors of the site: what is final fails, what may pass is tried later, what every other video would meet stops the queue."""
    try:
        yield
    except youtube.FetchFailed as fact:
        if track:
            Track.objects.filter(pk=track.pk).update(problem=fact.problem)
        if fact.problem == youtube.Problem.BLOCKED:
            queue.pause("fetch", reason=str(fact))
            raise TryLater(str(fact), wait_s=0, free=True) from None
        if fact.problem == youtube.Problem.NETWORK:
            raise TryLater(str(fact), wait_s=30 * 2**ticket.job.attempts) from None
        raise
    else:
        if track:
            Track.objects.filter(pk=track.pk).update(problem="")


def read_import(ticket: Ticket) -> None:
    """The playlists and channels of a list -> their videos, for the preview."""
    owner = Import.objects.select_related("dataset").get(pk=ticket.job.subject_id)
    rows = list(imports.rows_to_read(owner))
    for number, row in enumerate(rows):
        ticket.progress(number / len(rows), f"Reading {row.address}", force=True)
        address = addresses.parse(row.address)
        try:
            with _by_its_cure(ticket):
                title, entries = youtube.expand(address, access=imports.access(), most=settings.PLAYLIST_MAX)
        except youtube.FetchFailed as fact:
            imports.refuse(row, str(fact))
            continue
        except TryLater as fact:
            if fact.free:
                raise  # the queue is paused
            imports.refuse(row, f"{row.NOT_REACHED} {fact}")  # the other rows need not wait for it
            continue
        imports.unfold(row, title, entries)
    imports.ready_for_preview(owner)


def run_import(ticket: Ticket) -> None:
    """A confirmed list -> its tracks. Each row and its track in one step, so that a second attempt goes on where the first ended."""
    owner = Import.objects.select_related("dataset", "created_by").get(pk=ticket.job.subject_id)
    rows = list(imports.rows_to_bring_in(owner))
    for number, row in enumerate(rows):
        ticket.progress(number / len(rows), f"{number} of {len(rows)}")
        imports.bring_in(owner, row)
    imports.finish(owner)


MOST_UNKNOWN = 10  # videos in a row, from the first on


def check_sources(ticket: Ticket) -> None:
    """Ask after the videos of a dataset without fetching them. Each answer is written at once: a second attempt goes on from there."""
    dataset = Dataset.objects.get(pk=ticket.job.subject_id)
    due = links.due(dataset)
    shuffle(due)  # a video that is not understood stands in nobody's way, today or next time
    unknown: list[youtube.FetchFailed] = []
    for number, track in enumerate(due):
        ticket.progress(number / len(due), f"{number} of {len(due)}")
        try:
            with _by_its_cure(ticket):
                youtube.ask(track.external_id, access=imports.access())
        except youtube.FetchFailed as fact:
            if fact.problem in (youtube.Problem.OUTDATED, youtube.Problem.REFUSED):
                unknown.append(fact)  # says nothing of the video
                if len(unknown) == number + 1 == MOST_UNKNOWN:
                    break  # nor will the others
            else:
                links.note(track, gone=str(fact))
        else:
            links.note(track, gone="")
    if unknown:
        raise unknown[-1]


def _copy(file: FieldFile, local: Path) -> None:
    """From the storage, wherever that is, to this machine."""
    with file.open("rb") as stored, local.open("wb") as target:
        shutil.copyfileobj(stored, target, 1 << 20)


MOST_SILENCE = 0.98


def convert_track(ticket: Ticket) -> None:
    """Original -> 22,050 Hz mono wav, waveform, true duration. Done twice, it leaves the same as done once."""
    track = Track.objects.select_related("dataset").get(pk=ticket.job.subject_id)
    if track.state == Track.State.READY:
        return  # a worker died between the result and the end of the job: nothing is left to do
    sweep_folders()
    original = AudioFile.objects.get(track=track, kind=AudioFile.Kind.ORIGINAL)
    tracks.start_step(track, Track.State.CONVERTING)
    with tempfile.TemporaryDirectory(prefix="convert-", dir=settings.WORK_DIR) as folder:
        source, wav = Path(folder, "original"), Path(folder, "track.wav")
        ticket.progress(0.05, "Copying", force=True)
        _copy(original.file, source)
        ticket.progress(0.2, "Converting", force=True)
        longest = settings.TRACK_MAX_MINUTES * 60
        start_s, end_s = track.stretch
        converted = audio.convert(source, wav, max_duration_s=longest, start_s=start_s, end_s=end_s, check=ticket.check)
        try:
            tracks.refuse_by_policy(track, converted.duration_s)
        except PolicyRefused:
            Track.objects.filter(pk=track.pk).update(problem=youtube.Problem.POLICY)
            raise
        ticket.progress(0.8, "Drawing the waveform", force=True)
        measured = audio.measure(wav)
        if measured.silence_share >= MOST_SILENCE and (converted.loudness.integrated_lufs or -70) > -50:
            raise audio.AudioUnreadable("The channels cancel each other out: as one channel, which networks hear, it is silent.")
        if measured.silence_share >= MOST_SILENCE:
            raise audio.AudioUnreadable(f"{measured.silence_share:.0%} of the recording is silence (below -60 dB of full scale).")
        ticket.progress(0.9, "Making the copy for players", force=True)
        stream = audio.streaming_copy(
            source, Path(folder), converted, max_duration_s=longest, start_s=start_s, end_s=end_s, check=ticket.check
        )
        if converted.fingerprint:
            ticket.progress(0.95, "Looking for the same recording", force=True)
            duplicates.remember(track, converted.fingerprint)
        ticket.progress(0.98, "Storing", force=True)
        try:
            tracks.make_ready(track, wav, stream, converted, measured)
        except WrongState:
            track.refresh_from_db(fields=["state"])
            if track.state == Track.State.EXCLUDED:
                raise JobCancelled("The track was left out meanwhile.") from None
            raise


def fingerprint_track(ticket: Ticket) -> None:
    """The fingerprint of a track that came in before there were any."""
    track = Track.objects.select_related("dataset").get(pk=ticket.job.subject_id)
    wav = AudioFile.objects.get(track=track, kind=AudioFile.Kind.WAV)
    with tempfile.TemporaryDirectory(prefix="print-", dir=settings.WORK_DIR) as folder:
        local = Path(folder, "track.wav")
        _copy(wav.file, local)
        duplicates.remember(track, audio.fingerprint(local))


FORMATS: dict[Export.Format, Callable[[formats.Contents, bundles.BundleWriter], None]] = {
    Export.Format.CSV: table_formats.write_csv,
    Export.Format.JSONL: table_formats.write_jsonl,
    Export.Format.PARQUET: table_formats.write_parquet,
    Export.Format.AUDIOFOLDER: audiofolder.write,
    Export.Format.JAMS: jams.write,
    Export.Format.MIRDATA: mirdata.write,
    Export.Format.CROISSANT: croissant.write,
    Export.Format.STUDIO: table_formats.write_jsonl,
}


def write_export(ticket: Ticket) -> None:
    """A release -> one checksummed zip of tables, audio and spectrograms; the same bytes every time.

    An attempt that broke off leaves a folder with its part, from which the next one on the same machine goes on.
    """
    export = Export.objects.select_related("release__dataset").get(pk=ticket.job.subject_id)
    release = export.release
    if export.format == Export.Format.CSV and (waiting := selectors.n_unconverted(release)):
        raise NotHereYet(
            f"{waiting} recordings of “{release.name}” are not converted yet, and would be without a spectrogram: ask again when they are."
        )
    sweep_folders()
    ticket.progress(0, "Tables", force=True)
    of_release = contents.of(release)
    with queue.work_folder(ticket, contents.digest(of_release)[:16]) as folder:
        path = folder / f"{release.name}.zip"
        n = _files_expected(export.format, of_release.about)
        try:
            writer = bundles.BundleWriter(path, release.name, lambda done: ticket.progress(min(0.95, done / n), f"{done} files"))
        except BlockingIOError:
            raise TryLater("Another worker on this machine still writes this bundle.", wait_s=10, free=True) from None
        with writer:
            _write_bundle(writer, export, of_release)
            with path.open("rb") as file:
                sha256 = audio.sha256_of(file)
                _store_bundle(export, File(file), f"{release.name}-{sha256[:16]}.zip", sha256)


def _write_bundle(writer: bundles.BundleWriter, export: Export, of_release: formats.Contents) -> None:
    writer.add_bytes("README.md", formats.readme(of_release, export.get_format_display()).encode())
    writer.add_bytes("datasheet.md", datasheet.markdown(of_release.about).encode())
    writer.add_bytes("left_out.csv", bundles.csv_table(["track", "title", "reason"], export.release.left_out))
    writer.add_bytes("errata.csv", bundles.csv_table(["at", "text"], of_release.about.errata))
    refetch.write(of_release, writer)
    FORMATS[Export.Format(export.format)](of_release, writer)
    if export.format in (Export.Format.JSONL, Export.Format.PARQUET, Export.Format.STUDIO):
        record.write(of_release, writer)
    if export.format in (Export.Format.CSV, Export.Format.STUDIO):
        for recording in of_release.recordings():
            writer.add(f"audio/{recording.name}", recording.open)
    if export.format == Export.Format.CSV:
        sent: Any = bundle_writing.send(type(export.release), release=export.release)
        for _receiver, entries in sent:
            for name, stored in entries:
                writer.add(name, stored.open)
    writer.close()


def _files_expected(format: str, about: formats.About) -> int:
    """About how many files a bundle holds, for its progress."""
    one_a_track = format in (Export.Format.JAMS, Export.Format.MIRDATA, Export.Format.CSV)
    with_audio = format in (Export.Format.CSV, Export.Format.STUDIO, Export.Format.MIRDATA, Export.Format.AUDIOFOLDER)
    return 8 + about.n_tracks * one_a_track + about.n_recordings * with_audio


def bring_in_release(ticket: Ticket) -> None:
    """Another studio's bundle -> its tracks, their ratings, the frozen release. Done again, it goes on with the tracks that are missing."""
    arrival = ReleaseImport.objects.select_related("dataset", "created_by", "release").get(pk=ticket.job.subject_id)
    if arrival.release and arrival.release.is_complete:  # a worker died while the floors above followed, or after that
        return _announce(ticket, arrival)
    sweep_folders()
    with tempfile.TemporaryDirectory(prefix="arrive-", dir=settings.WORK_DIR) as folder:
        local = Path(folder, "bundle.zip")
        ticket.progress(0, "Copying", force=True)
        _copy(arrival.file, local)
        if problems := bundles.verify(local, lambda done, n: ticket.progress(0.2 * done / n, "Checking the files")):
            words = "; ".join(problems[:3]) + ("; …" if len(problems) > 3 else "")
            raise bundles.BundleRefused(words.replace(str(local), arrival.filename))
        bundle = bundles.BundleReader(local)
        try:
            _unpack(ticket, arrival, bundle)
        finally:
            bundle.close()


def _unpack(ticket: Ticket, arrival: ReleaseImport, bundle: bundles.BundleReader) -> None:
    said = record.read(bundle)
    ticket.progress(0.2, "Reading the tables", force=True)
    n = arrivals.check(arrival, bundle, said)
    dataset = arrivals.dataset_for(arrival, said)
    recordings = arrivals.recordings_of(bundle)
    # Looked for first: what does not fit to a track that is here is refused before anything is made.
    track_of: dict[int, int] = {}
    for row in arrivals.rows_of(bundle, "tracks", contents.TRACKS):
        if found := arrivals.find_track(dataset, row):
            track_of[row["track_id"]] = found.pk
    for number, row in enumerate(arrivals.rows_of(bundle, "tracks", contents.TRACKS), 1):
        ticket.progress(0.3 + 0.3 * number / n, f"{number} of {n} tracks")
        if row["track_id"] not in track_of:
            with arrivals.recording(bundle, recordings.get(row["track_id"])) as file:
                track_of[row["track_id"]] = arrivals.bring_in_track(dataset, row, file, by=arrival.created_by).pk
    ticket.progress(0.6, "Storing the release", force=True)
    arrivals.store_release(arrival, dataset, said, bundle, track_of)
    _announce(ticket, arrival)


def _announce(ticket: Ticket, arrival: ReleaseImport) -> None:
    """The ratings of the tracks count, so many at a time: raters who rate meanwhile wait for no more."""
    assert arrival.release is not None
    ranges = list(selectors.pieces(arrival.release, 100))
    for number, numbers in enumerate(ranges):
        ticket.progress(0.7 + 0.3 * number / len(ranges), f"Ratings, {number} of {len(ranges)}")
        arrivals.announce(arrival, numbers)
    arrivals.finish(arrival)


def _store_bundle(export: Export, file: File[bytes], name: str, sha256: str) -> None:
    """Store the new bundle beside the old one, move the row over, then remove the old one."""
    storage, old = export.file.storage, export.file.name
    stored = export.file.field.generate_filename(export, name)
    if stored != old:
        storage.delete(stored)
        stored = storage.save(stored, file)
    if not Export.objects.filter(pk=export.pk).update(size=file.size, sha256=sha256, file=stored):
        storage.delete(stored)
        raise WrongState("The export was removed while it was being written.")
    if old and stored != old:
        storage.delete(old)
