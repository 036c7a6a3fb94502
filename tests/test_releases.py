"""Versions of a release: parts that are kept, what changed, what people say of it, what is told beside it."""

import pytest

from annotate.services import freezing
from datasets import selectors
from datasets.errors import ValueRefused, WrongState
from datasets.methods import splits
from datasets.models import Erratum, Fault, Release, SplitMember, Track
from datasets.services import releases
from mer.methods.params import SpectrogramParams
from mer.models import Spectrogram
from mer.services.inputs import spectrogram_set
from tests.test_curators import trained

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def parts_of(release):
    return dict(SplitMember.objects.filter(split=release.splits.first()).values_list("item__track_id", "part"))


def test_a_track_keeps_its_part_in_later_versions(release, questionnaire, make_track, rate):
    first = parts_of(release)
    for number in range(20):
        rate(make_track(f"New {number}", artist=f"New {number}"), "calm calm calm calm calm")
    later = freezing.freeze(questionnaire, name="songs-v2", seed=99)
    now = parts_of(later)
    assert {track: now[track] for track in first} == first
    folds = [
        dict(SplitMember.objects.filter(split=one.splits.get(name="5 folds")).values_list("item__track_id", "part"))
        for one in (release, later)
    ]
    assert {track: folds[1][track] for track in folds[0]} == folds[0] and len(folds[1]) == len(now)
    assert len(now) == len(first) + 20 and set(now.values()) == {"train", "validation", "test"}
    assert later.leakage["moved"] == [] and later.leakage["groups_in_two_parts"] == []


def test_a_new_track_of_a_known_artist_joins_that_artist(release, questionnaire, make_track, rate):
    known = {item.track.artist: parts_of(release)[item.track_id] for item in release.items.select_related("track")}
    artist, part = next((artist, part) for artist, part in known.items() if part == "test")
    track = make_track("Encore", artist=artist)
    rate(track, "calm calm calm calm calm")
    assert parts_of(freezing.freeze(questionnaire, name="songs-v2", seed=5))[track.pk] == part


def test_artists_that_became_one_stay_where_they_were_and_the_report_says_so(release, questionnaire):
    part = parts_of(release)
    one = next(pk for pk, name in part.items() if name == "train")
    other = next(pk for pk, name in part.items() if name == "test")
    for item in release.items.select_related("track").filter(track_id__in=[one, other]):
        item.track.artist = "The same person"
        item.track.save()
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    assert parts_of(later) == part
    assert len(later.leakage["groups_in_two_parts"]) == 1


def test_artists_that_became_one_come_together_in_one_fold_and_figures_of_a_torn_split_say_so(
    release, questionnaire, client, curator
):
    part = parts_of(release)
    folds = dict(SplitMember.objects.filter(split__name="5 folds").values_list("item__track_id", "part"))
    one, other = next((a, b) for a in part for b in part if part[a] != part[b] and folds[a] != folds[b])
    Track.objects.filter(pk__in=[one, other]).update(artist="The same person")
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    now = dict(SplitMember.objects.filter(split__name="5 folds", split__release=later).values_list("item__track_id", "part"))
    assert now[one] == now[other] and later.leakage["groups_in_two_folds"] == []
    assert {track: now[track] for track in now if track not in (one, other)} == {
        track: folds[track] for track in folds if track not in (one, other)
    }
    torn, whole = trained(later), trained(later, folds=True)
    sentence = "Artists with tracks in two parts of the hold-out split: 1."
    assert (torn.n_torn, whole.n_torn) == (1, 0)
    client.force_login(curator)
    assert sentence in client.get(f"/runs/{torn.pk}/").content.decode()
    assert "in two parts of the hold-out split" not in client.get(f"/runs/{whole.pk}/").content.decode()
    assert sentence in client.get("/releases/songs-v2/compare/").content.decode()
    said = client.get("/api/v1/compare/songs-v2/").json()
    assert said["torn"][0].startswith(sentence) and sentence in said["markdown"]
    trained(later, "cnn")
    assert sentence in client.get("/releases/songs-v2/paper/?recipe=robust").content.decode()
    assert sentence in client.get("/releases/songs-v2/paper/?recipe=robust&as=markdown").content.decode()
    trained(release)
    assert "torn" in client.get("/api/v1/compare/songs-v1/").json() and client.get("/api/v1/compare/songs-v1/").json()["torn"] == []


def test_a_split_from_a_file_is_taken_as_it_is(release, questionnaire):
    given = {pk: ("test" if number % 3 == 0 else "train") for number, pk in enumerate(sorted(parts_of(release)))}
    later = freezing.freeze(questionnaire, name="fixed", seed=1, parts=given)
    assert parts_of(later) == given
    assert later.splits.first().name == "from a file"
    assert later.leakage["moved"] == [pk for pk, part in given.items() if parts_of(release)[pk] != part]
    given.pop(min(given))
    with pytest.raises(ValueRefused, match="no part for 1 tracks"):
        freezing.freeze(questionnaire, name="fixed-2", seed=1, parts=given)
    with pytest.raises(ValueRefused, match="“dev” is no part"):
        freezing.freeze(questionnaire, name="fixed-2", seed=1, parts={1: "dev"})


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"track,part\n1,train\n", "columns track_id and part"), (b"track_id,part\nx,train\n", "Line 2: “x”"), (b"\xff\xfe", "UTF-8"),
     (b"track_id,part\n1,train\n1,test\n", "Line 3: track 1 is in two parts")],
)  # fmt: skip
def test_a_file_that_is_no_split_is_refused_with_its_line(text, why):
    with pytest.raises(ValueError, match=why):
        splits.read_parts(text)


def test_a_release_s_own_table_of_splits_fixes_the_hold_out_split():
    text = b"split,track_id,part\n80/10/10,1,train\n80/10/10,2,test\n5 folds,1,fold 3\n5 folds,2,fold 1\n"
    assert splits.read_parts(text) == {1: "train", 2: "test"}


def test_a_release_says_how_it_differs_from_the_one_before(release, questionnaire, make_track, rate):
    rate(make_track("New"), "calm calm calm calm calm")
    gone = release.items.first().track
    gone.state = "excluded"
    gone.save()
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    assert selectors.release_before(later) == release
    found = selectors.difference(selectors.labels_of(release), selectors.labels_of(later))
    assert (len(found.added), found.removed, found.relabelled) == (1, [gone.pk], [])
    assert selectors.difference({1: "sad", 2: "calm"}, {2: "happy"}).relabelled == [(2, "calm", "happy")]


def test_tracks_without_a_complete_spectrogram_can_be_left_out_by_that_name(release, questionnaire):
    track = release.items.first().track
    drawn = spectrogram_set(SpectrogramParams())
    for item in release.items.exclude(track=track):
        Spectrogram.objects.create(set=drawn, track=item.track, state="ok")
    Spectrogram.objects.create(set=drawn, track=track, state="excluded", reason="Too short: 3 s.")
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1, without_incomplete=True)
    assert later.items.count() == release.items.count() - 1
    [row] = later.left_out
    assert row["reason"] == "Spectrogram incomplete: Too short: 3 s."
    assert later.funnel[-1]["n"] == later.items.count()


def test_the_preview_shows_what_would_be_frozen_and_freezes_it_with_its_imprint(client, curator, release, questionnaire):
    client.force_login(curator)
    address = f"/agreement/{questionnaire.pk}/freeze/"
    assert "The same tracks with the same labels" in client.get(address).content.decode()
    data = {"name": "songs-v2", "seed": 1, "licence": "CC-BY-4.0", "authors": "A. Wijaya\n I. Yasmina \n", "description": "Ours"}
    page = client.post(address, data, follow=True).content.decode()
    assert "A. Wijaya; I. Yasmina" in page and "CC-BY-4.0" in page
    assert Release.objects.get(name="songs-v2").content_hash != release.content_hash


def test_a_reported_fault_waits_in_the_queue_until_it_is_answered(client, curator, release):
    client.force_login(curator)
    item = release.items.first()
    page = f"/releases/{release.name}/"
    assert "not in" in client.post(f"{page}faults/", {"track_id": 99999, "text": "wrong"}, follow=True).content.decode()
    client.post(f"{page}faults/", {"track_id": item.track_id, "text": "This is a lament"})
    fault = Fault.objects.get()
    assert "This is a lament" in client.get(page).content.decode()
    client.post(f"/faults/{fault.pk}/", {"answer_is": "accepted", "answer": "Asked again."})
    fault.refresh_from_db()
    assert (fault.state, fault.answer) == ("accepted", "Asked again.")
    assert "This is a lament" in Erratum.objects.get().text
    with pytest.raises(WrongState):
        releases.answer_fault(Fault.objects.get(), accepted=False, answer="", by=curator)
    release.refresh_from_db()
    assert releases.content_hash(release) == release.content_hash
    assert "Say what is wrong" in client.post(f"{page}errata/", {"text": " "}, follow=True).content.decode()
