"""The demo: synthetic pieces, simulated raters, a frozen release and two runs, so that every page has something to show.

Its accounts exist only while the studio listens on this machine alone: a public bind with them refuses to start.
"""

import os
import secrets
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.files import File
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from annotate.models import Assignment, Consensus, Gold, Questionnaire, Rater, Rating
from annotate.services import consensus, freezing, questionnaires
from datasets import access, jobs
from datasets.models import AudioFile, Dataset, Export, Job, Release, Signal, Track, Word
from datasets.services import queue, tracks
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Run, Spectrogram
from mer.services import runs

NAME = "Demo"
RELEASE = "demo-v1"
N_PIECES = 34
N_UNRATED = 4  # left for the newcomer
N_GOLD = 3  # an example, a practice piece, a hidden check
ACCOUNTS = ("rater", "curator", "admin", "guest")
GROUP = "demo accounts"
SEED = 2021


class DemoRefused(Exception):
    """The demo may not be here."""


def is_public(host: str) -> bool:
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def refuse_public_demo() -> None:
    """Stop a start on a public address while accounts with known roles and a password in a file exist."""
    if not is_public(settings.HOST):
        return
    try:
        exist = User.objects.filter(groups__name=GROUP).exists()
    except DatabaseError:  # no tables yet, so no accounts
        return
    if exist:
        raise SystemExit(
            f"The demo accounts exist, and HOST is {settings.HOST}: they must never be reachable from other machines.\n"
            "Remove the demo first: .venv/bin/python manage.py demo --remove"
        )


def is_wanted() -> bool:
    """Load the demo into an empty database, or finish one that was interrupted; never on a public bind."""
    if is_public(settings.HOST):
        return False
    unfinished = (
        Dataset.objects.filter(name=NAME, synthetic=True).exists() and not Run.objects.filter(release__name=RELEASE).exists()
    )
    return unfinished or not (Dataset.objects.exists() or User.objects.exists())


def password_file() -> Path:
    return settings.DATA_DIR / "demo_password"


def make_accounts() -> str:
    """The four accounts with one password, made once and kept in a file that only the owner reads."""
    path = password_file()
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(6))
    password = path.read_text().strip()
    group, _ = Group.objects.get_or_create(name=GROUP)
    for name in ACCOUNTS:
        user, made = User.objects.get_or_create(
            username=name, defaults={"is_staff": name == "admin", "is_superuser": name == "admin"}
        )
        if made:
            user.set_password(password)
            user.save()
            user.groups.add(group)
            if name == "curator":
                user.groups.add(access.curators())
            elif name == "guest":
                user.groups.add(access.guests())
    return password


def load(say: Callable[[str], None]) -> None:
    """Bring the demo to its end, from wherever an earlier attempt stopped."""
    if is_public(settings.HOST):
        raise DemoRefused(f"HOST is {settings.HOST}: the demo and its accounts are for this machine alone.")
    make_accounts()
    dataset = Dataset.objects.filter(name=NAME).first() or tracks.create_dataset(
        name=NAME,
        description="Synthetic: composed by a seeded generator, rated by simulated raters.",
        synthetic=True,
    )
    missing = [
        n for n in range(N_PIECES + N_GOLD) if not dataset.tracks.filter(external_id=f"demo-{n}", state=Track.State.READY).exists()
    ]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for number, _ in enumerate(pool.map(partial(_bring_in, dataset), missing), 1):
            say(f"Composed {number} of {len(missing)} pieces")
    questionnaire = questionnaires.questionnaire_of(dataset)
    _prepare(questionnaire)
    say("Simulating raters")
    _rate(questionnaire)
    say("Freezing the release")
    release = Release.objects.filter(name=RELEASE).first() or freezing.freeze(questionnaire, name=RELEASE, seed=SEED)
    for network in ("cnn", "crnn", "features"):
        if not release.runs.filter(network=network).exists():
            runs.create_run(
                release=release, training=TrainingParams.of(network, epochs=5), spectrograms=SpectrogramParams(), folds=network == "features"
            )  # fmt: skip
    say("")


def _bring_in(dataset: Dataset, number: int) -> None:
    """One piece as mp3 (as the study's tracks were), through the same door as any other file; in a thread of its own."""
    try:
        _compose_and_convert(dataset, number)
    finally:
        connection.close()


def _compose_and_convert(dataset: Dataset, number: int) -> None:
    from imageio_ffmpeg import get_ffmpeg_exe

    from datasets.methods import generator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pydub looks for a system's ffmpeg; ours is named below
        from pydub import AudioSegment

    piece = generator.compose(number)
    AudioSegment.converter = get_ffmpeg_exe()
    samples = (piece.y * 32767).astype("<i2").tobytes()
    segment = AudioSegment(samples, frame_rate=generator.SAMPLE_RATE, sample_width=2, channels=1)
    with TemporaryDirectory() as folder:
        path = Path(folder, f"demo-{number}.mp3")
        segment.export(path, format="mp3", bitrate="96k").close()
        track = dataset.tracks.filter(external_id=f"demo-{number}").first()
        if track is None:
            with path.open("rb") as file:
                job = tracks.add_file(
                    dataset=dataset, file=File(file), filename=path.name, title=piece.title, artist=piece.composer, licence="CC0-1.0",
                    external_id=f"demo-{number}", source=Track.Source.GENERATOR, wake_worker=False,
                )  # fmt: skip
        else:
            job = Job.objects.filter(task=tracks.CONVERT, subject="track", subject_id=track.pk).latest("pk")
    queue.run_job(job.pk, jobs.convert_track)


def _prepare(questionnaire: Questionnaire) -> None:
    """The rater's way with all that it can have, on three gold pieces of the generator's own."""
    from datasets.methods import generator

    Questionnaire.objects.filter(pk=questionnaire.pk).update(with_practice=True, gold_every=3, tracks_per_rater=4)
    words = {word.key: word for word in Word.objects.filter(label__dataset=questionnaire.dataset_id)}
    for use, number in zip(Gold.Use.values, range(N_PIECES, N_PIECES + N_GOLD), strict=True):
        track = questionnaire.dataset.tracks.get(external_id=f"demo-{number}")
        word = words[generator.word_at(*generator.place_of(number))]
        why = "The generator composed it for this place in the plane: its mode, tempo, register and timbre follow from that."
        why_indonesian = (
            "Generator menggubahnya untuk titik ini di bidang: modus, tempo, register, dan warna bunyinya mengikuti titik itu."
        )
        texts = {"word": word, "use": use, "why": why, "why_indonesian": why_indonesian}
        Gold.objects.get_or_create(questionnaire=questionnaire, track=track, defaults=texts)


@transaction.atomic
def _rate(questionnaire: Questionnaire) -> None:
    """Five of eight simulated raters a piece; each hears the piece's place in the plane with an error of his own."""
    from datasets.methods import generator

    rng = np.random.default_rng(SEED)
    words = {word.key: word for word in Word.objects.filter(label__dataset=questionnaire.dataset_id).select_related("label")}
    raters = [Rater.objects.get_or_create(pseudonym=f"simulated-{index + 1}")[0] for index in range(8)]
    for number in range(N_PIECES - N_UNRATED):
        track = questionnaire.dataset.tracks.get(external_id=f"demo-{number}")
        piece = generator.place_of(number)
        chosen = rng.choice(8, size=5, replace=False)
        heard = [(piece[0] + rng.normal(0, 0.42), piece[1] + rng.normal(0, 0.42)) for _ in chosen]
        if Rating.objects.filter(questionnaire=questionnaire, track=track).exists():
            continue
        for index, (valence, arousal) in zip(chosen, heard, strict=True):
            word = words[generator.word_at(valence, arousal)]
            Rating.objects.create(
                questionnaire=questionnaire, track=track, rater=raters[index], word=word, label=word.label,
                rated_at=timezone.now() - timedelta(days=1),
            )  # fmt: skip
        consensus.update_consensus(Consensus.objects.select_for_update().get(questionnaire=questionnaire, track=track))


def remove(*, even_others: bool = False) -> int:
    """Take everything of the demo out again: tracks, files, ratings, releases, runs, accounts. Returns the number of tracks.

    Raises DemoRefused when people have brought tracks of their own into the demo, unless `even_others`.
    """
    dataset = Dataset.objects.filter(name=NAME, synthetic=True).first()
    others = dataset.tracks.exclude(source=Track.Source.GENERATOR).count() if dataset else 0
    if others and not even_others:
        raise DemoRefused(f"{others} tracks in “{NAME}” are not the demo's own. To remove them too: manage.py demo --remove --all")
    n = 0
    files: list[object] = []
    with transaction.atomic():
        if dataset:
            runs = Run.objects.filter(release__dataset=dataset)
            mine = Track.objects.filter(dataset=dataset)
            n = mine.count()
            Job.objects.filter(subject="run", subject_id__in=runs.values("pk")).update(cancel_requested=True)
            files += [run.network_file for run in runs if run.network_file]
            files += [fold.results for run in runs for fold in run.folds.exclude(results="")]
            files += [row.image for row in Spectrogram.objects.filter(track__dataset=dataset) if row.image]
            files += [row.picture for row in Signal.objects.filter(release__dataset=dataset).exclude(picture="")]
            files += [row.file for row in AudioFile.objects.filter(track__dataset=dataset)]
            files += [export.file for release in dataset.releases.all() for export in release.exports.all() if export.file]
            for kind, rows in (
                ("release", dataset.releases),
                ("export", Export.objects.filter(release__dataset=dataset)),
                ("consensus", Consensus.objects.filter(questionnaire__dataset=dataset)),
                ("questionnaire", Questionnaire.objects.filter(dataset=dataset)),
            ):
                _forget(kind, list(rows.values_list("pk", flat=True)))
            _forget("run", list(runs.values_list("pk", flat=True)))
            _forget("track", list(mine.values_list("pk", flat=True)))
            runs.delete()
            Assignment.objects.filter(questionnaire__dataset=dataset).delete()
            Rating.objects.filter(questionnaire__dataset=dataset).delete()
            Gold.objects.filter(questionnaire__dataset=dataset).delete()
            Consensus.objects.filter(questionnaire__dataset=dataset).delete()
            dataset.releases.all().delete()
            dataset.delete()
        Rater.objects.filter(pseudonym__startswith="simulated-").delete()
        Rater.objects.filter(user__groups__name=GROUP, ratings=None).delete()
        User.objects.filter(groups__name=GROUP).delete()
        Group.objects.filter(name=GROUP).delete()
    for file in files:
        file.delete(save=False)  # type: ignore[attr-defined]
    password_file().unlink(missing_ok=True)
    return n


def _forget(subject: str, ids: list[int]) -> None:
    """Its jobs; the audit trail stays, as everything's does: numbers and states, no content."""
    Job.objects.filter(subject=subject, subject_id__in=ids).delete()
