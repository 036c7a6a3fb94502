"""The same recording twice: found when it is converted, shown side by side, merged or kept."""

import numpy as np
import pytest

from annotate.models import Questionnaire
from annotate.services import freezing
from datasets import jobs
from datasets.errors import ValueRefused, WrongState
from datasets.methods import fingerprints
from datasets.models import Duplicate, Event, Fingerprint, FingerprintKey, Job, SplitMember, Track
from datasets.selectors import kept_together
from datasets.services import duplicates, queue, tracks

pytestmark = pytest.mark.django_db


def sound(seed: int, n: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**32, size=n, dtype=np.uint32)


def remember(track: Track, items: np.ndarray) -> None:
    duplicates.remember(track, items.astype("<u4").tobytes())


@pytest.fixture
def pair(make_track) -> Duplicate:
    one, other = make_track("First"), make_track("Second")
    items = sound(1)
    remember(one, items)
    remember(other, items[40:])
    return Duplicate.objects.get()


def test_the_later_track_names_the_earlier_and_where_it_begins_in_it(pair):
    assert (pair.track.title, pair.other.title) == ("Second", "First")
    assert pair.offset_s == pytest.approx(40 * fingerprints.ITEM_S)
    assert pair.similarity == 1


def test_the_order_of_conversion_does_not_matter(make_track):
    one, other = make_track("First"), make_track("Second")
    items = sound(1)
    remember(other, items[40:])
    remember(one, items)
    found = Duplicate.objects.get()
    assert found.track == other and found.offset_s == pytest.approx(40 * fingerprints.ITEM_S)


def test_a_second_conversion_leaves_the_same(pair):
    before = FingerprintKey.objects.count()
    remember(pair.track, sound(1)[40:])
    assert Duplicate.objects.count() == 1 and FingerprintKey.objects.count() == before


def test_other_music_and_other_datasets_are_no_duplicates(pair, make_track):
    remember(make_track("Third"), sound(2))
    elsewhere = Track.objects.create(dataset=tracks.create_dataset(name="Elsewhere"), title="Copy", source="file")
    remember(elsewhere, sound(1))
    assert Duplicate.objects.count() == 1


def test_merging_leaves_the_other_out_with_the_reason_and_leaves_an_event(pair, curator):
    left = duplicates.merge(pair, keep=pair.other_id, by=curator)
    left.refresh_from_db()
    assert left == pair.track and left.state == "excluded" and "“First”" in left.reason
    assert Event.objects.filter(subject="duplicate", subject_id=pair.pk, to_state="merged", actor=curator).exists()
    with pytest.raises(WrongState):
        duplicates.keep_both(pair, by=curator)


def test_only_one_of_the_two_can_be_kept(pair, curator, make_track):
    with pytest.raises(ValueRefused, match="neither of the two"):
        duplicates.merge(pair, keep=make_track("Third").pk, by=curator)
    pair.refresh_from_db()
    assert pair.state == "open"


def test_one_that_is_not_ready_cannot_be_the_one_that_is_kept(pair, curator):
    Track.objects.filter(pk=pair.other_id).update(state="failed")
    with pytest.raises(WrongState, match="is failed"):
        duplicates.merge(pair, keep=pair.other_id, by=curator)
    assert Track.objects.get(pk=pair.track_id).state == "ready"


def test_of_three_copies_one_is_left_whatever_is_pressed(pair, curator, make_track):
    third = make_track("Third")
    remember(third, sound(1)[20:])
    assert Duplicate.objects.count() == 3
    for keep in (pair.other_id, pair.track_id, third.pk):
        for row in Duplicate.objects.filter(state="open"):
            if keep in (row.track_id, row.other_id):
                duplicates.merge(row, keep=keep, by=curator)
    assert list(Track.objects.filter(state="ready").values_list("title", flat=True)) == ["First"]
    assert not Duplicate.objects.filter(state="open").exists()


def test_copies_stay_together_whatever_was_ruled_and_through_tracks_outside_the_release(pair, make_track):
    third = make_track("Third")
    remember(third, sound(1)[20:])
    Duplicate.objects.update(state="merged")
    Duplicate.objects.filter(track=third, other=pair.other_id).delete()
    groups = kept_together({row.pk: row.group for row in (Track.objects.get(title="First"), third)})
    assert groups[0] == groups[1]
    assert len(set(kept_together({row.pk: row.group for row in (third, make_track("Other"))}))) == 2


def test_a_ruling_can_be_looked_at_again(pair, curator):
    duplicates.keep_both(pair, by=curator)
    duplicates.look_again(pair, by=curator)
    pair.refresh_from_db()
    assert pair.state == "open"


def test_looking_again_at_a_merge_brings_the_other_copy_back(pair, curator):
    duplicates.merge(pair, keep=pair.other_id, by=curator)
    duplicates.look_again(Duplicate.objects.get(), by=curator)
    assert set(Track.objects.values_list("state", flat=True)) == {"ready"}
    duplicates.merge(Duplicate.objects.get(), keep=pair.track_id, by=curator)
    assert Track.objects.get(pk=pair.track_id).state == "ready" and Track.objects.get(pk=pair.other_id).state == "excluded"


def test_a_copy_that_is_taken_back_in_opens_its_pair_again(pair, curator):
    left = duplicates.merge(pair, keep=pair.other_id, by=curator)
    tracks.restore_track(Track.objects.get(pk=left.pk), by=curator)
    assert Duplicate.objects.get().state == "open"


def test_a_pair_that_is_kept_stays_in_one_part_of_every_split(make_track, rate, questionnaire, curator):
    rows = []
    for number in range(20):
        track = make_track(f"Piece {number}")
        rate(track, " ".join([("happy", "calm")[number % 2]] * 5))
        rows.append(track)
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        Duplicate.objects.create(track=second, other=first, similarity=0.9, offset_s=0, overlap_s=30, state="kept")
    freezing.freeze(Questionnaire.objects.get(pk=questionnaire.pk), name="pairs", seed=3)
    part = dict(SplitMember.objects.filter(split__name="80/10/10").values_list("item__track_id", "part"))
    assert all(part[first.pk] == part[second.pk] for first, second in zip(rows[::2], rows[1::2], strict=True))
    assert set(part.values()) == {"train", "validation", "test"}


def test_the_page_shows_both_with_players_and_takes_the_ruling(client, curator, pair):
    client.force_login(curator)
    page = client.get("/tracks/duplicates/").content.decode()
    assert page.count("data-player") == 2 and "100.0% alike" in page
    assert "1 duplicate" in client.get("/tracks/").content.decode()
    assert "The same recording as “First”?" in client.get(f"/tracks/{pair.track_id}/").content.decode()
    client.post(f"/tracks/duplicates/{pair.pk}/", {"ruling": str(pair.other_id)})
    assert Track.objects.get(pk=pair.track_id).state == "excluded"
    assert "No pairs here." in client.get("/tracks/duplicates/").content.decode()
    assert "data-player" in client.get("/tracks/duplicates/?state=merged").content.decode()


@pytest.mark.parametrize("ruling", ["", "x", "9" * 30, "0"])
def test_a_ruling_that_is_none_changes_nothing(client, curator, pair, ruling):
    client.force_login(curator)
    page = client.post(f"/tracks/duplicates/{pair.pk}/", {"ruling": ruling}, follow=True)
    assert "neither of the two" in page.content.decode()
    assert Duplicate.objects.get().state == "open"


def test_tracks_from_before_there_were_fingerprints_get_theirs_once(make_track):
    track = make_track("Old", seconds=12.0)
    Fingerprint.objects.all().delete()
    assert duplicates.queue_missing() == 1
    assert duplicates.queue_missing() == 0
    job = Job.objects.get(task=duplicates.PRINT)
    assert queue.run_job(job.pk, jobs.fingerprint_track).state == "done"
    assert len(fingerprints.read_items(bytes(Fingerprint.objects.get(track=track).items))) > 50
