"""What a dataset takes in: length, licence, age limits; and tracks that turn out to have vocals."""

import pytest
from django.core.exceptions import ValidationError
from django.core.files import File
from django.core.files.base import ContentFile

from annotate.models import Rating
from datasets import jobs
from datasets.methods import youtube
from datasets.methods.lists import Line
from datasets.models import Dataset, Event, Job, Track
from datasets.services import imports, queue, tracks
from tests.conftest import tone

pytestmark = pytest.mark.django_db


def bring_in(dataset, seconds: float = 3.0, **values) -> Track:
    file = File(ContentFile(tone(seconds, seed=int(10 * seconds)), name="piece.wav"))
    job = tracks.add_file(dataset=Dataset.objects.get(pk=dataset.pk), file=file, filename="piece.wav", wake_worker=False, **values)
    queue.run_job(job.pk, jobs.convert_track)
    return Track.objects.get(pk=job.subject_id)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ({"shortest_s": 5}, "takes none shorter than 5.0 seconds"),
        ({"longest_s": 2}, "takes none longer than 2.0 seconds"),
        ({"licence_required": True}, "No licence is known"),
    ],
)
def test_what_the_dataset_does_not_take_is_refused_and_can_be_tried_again(dataset, policy, why):
    Dataset.objects.filter(pk=dataset.pk).update(**policy)
    track = bring_in(dataset)
    assert track.state == "failed" and why in track.reason
    Dataset.objects.filter(pk=dataset.pk).update(shortest_s=0.5, longest_s=None, licence_required=False)
    job = Job.objects.get(subject="track", subject_id=track.pk)
    queue.retry(job)
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"


def test_a_licence_and_a_fitting_length_come_in(dataset):
    Dataset.objects.filter(pk=dataset.pk).update(shortest_s=2, longest_s=4, licence_required=True)
    assert bring_in(dataset, licence="CC0-1.0").state == "ready"


def test_what_policy_refuses_is_counted_by_ingest_health(client, curator, dataset):
    Dataset.objects.filter(pk=dataset.pk).update(licence_required=True)
    assert bring_in(dataset).problem == "policy"
    client.force_login(curator)
    assert "Not what is taken here" in client.get("/jobs/health/").content.decode()


def test_silence_is_refused_with_its_share(dataset):
    import io
    import wave

    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(22_050)
        file.writeframes(bytes(4 * 22_050))
    job = tracks.add_file(
        dataset=dataset, file=File(ContentFile(buffer.getvalue(), name="s.wav")), filename="s.wav", wake_worker=False
    )
    queue.run_job(job.pk, jobs.convert_track)
    assert "100% of the recording is silence" in Track.objects.get().reason


@pytest.mark.parametrize(("age_limit", "takes", "refused"), [(18, False, True), (18, True, False), (0, False, False)])
def test_age_restricted_videos_are_taken_only_where_they_are_wanted(age_limit, takes, refused):
    info = {"age_limit": age_limit, "duration": 60}
    assert bool(youtube._policy(info, 600, age_restricted=takes, live_recordings=True)) is refused


@pytest.mark.parametrize(
    ("info", "takes", "refused"),
    [
        ({"was_live": True}, True, None),
        ({"was_live": True}, False, "recording of a live stream"),
        ({"live_status": "post_live"}, False, "recording of a live stream"),
        ({"live_status": "not_live"}, False, None),
        ({"is_live": True}, True, "it is a live stream"),
        ({"live_status": "is_upcoming"}, True, "it is a live stream"),
    ],
)
def test_recordings_of_live_streams_are_taken_where_they_are_wanted_and_streams_never(info, takes, refused):
    why = youtube._policy(info | {"duration": 60}, 600, age_restricted=True, live_recordings=takes)
    assert refused in why if refused else why is None


def test_a_curator_leaves_a_track_out_because_raters_hear_vocals(client, curator, make_track, rate, questionnaire):
    track = make_track("Sung")
    rate(track, "happy happy calm")
    Rating.objects.filter(rater__pseudonym__in=["R0", "R1"]).update(vocals=True)
    client.force_login(curator)
    panel = client.get(f"/tracks/{track.pk}/ratings/").content.decode()
    assert "2 raters hear vocals." in panel and 'value="Has vocals, say 2 of 3 raters"' in panel
    client.post(f"/tracks/{track.pk}/exclude/", {"reason": "Has vocals, say 2 of 3 raters"})
    track.refresh_from_db()
    assert (track.state, track.reason) == ("excluded", "Has vocals, say 2 of 3 raters")
    assert Event.objects.filter(subject="track", to_state="excluded", actor=curator).exists()


def test_only_the_range_of_the_dataset_is_taken_of_each_recording(dataset):
    Dataset.objects.filter(pk=dataset.pk).update(range_start_s=0.5, range_end_s=2.0)
    track = bring_in(dataset, seconds=3.0)
    assert (track.state, round(track.duration_s, 2)) == ("ready", 1.5)
    assert track.files.filter(kind="stream").exists(), "raters get the range, not the original"


def test_a_row_whose_stretch_leaves_the_range_is_refused_in_the_preview(dataset, curator):
    Dataset.objects.filter(pk=dataset.pk).update(range_start_s=10, range_end_s=60)
    lines = [
        Line(number, f"https://youtu.be/abcdefghij{number}", start_s=start, end_s=end)
        for number, (start, end) in enumerate([(None, None), (10, 60), (0, 60), (20, 90), (20, None)])
    ]
    owner = imports.create_import(dataset=Dataset.objects.get(pk=dataset.pk), name="x", lines=lines, by=curator)
    refused = dict(owner.rows.values_list("number", "refusal"))
    assert refused[0] == refused[1] == ""
    assert all("0:10 to 1:00" in refused[number] for number in (2, 3, 4))


def test_a_policy_that_takes_nothing_is_not_saved(client, admin_person, dataset):
    client.force_login(admin_person)
    for wrong in ({"shortest_s": 120, "longest_s": 60}, {"range_start_s": 30, "range_end_s": 20}):
        made = Dataset(name="Other", **wrong)
        with pytest.raises(ValidationError, match="no recording would be taken"):
            made.clean()
