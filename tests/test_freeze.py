"""Freezing: what goes in, what is left out and why; never changed afterwards."""

import pytest

from annotate.models import Rating
from annotate.services import freezing
from datasets import contents, selectors
from datasets.errors import NameTaken, NothingToFreeze, ValueRefused
from datasets.methods.formats import datasheet
from datasets.models import Duplicate, Release, SplitMember, Track
from datasets.services import releases

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_agreed_tracks_go_in_with_votes_and_parts(release):
    item = release.items.first()
    assert release.items.count() == 12
    assert (item.label, item.agreement, item.votes) == ("positive", 0.8, {"positive": 4, "negative": 1})
    assert release.ratings.count() == 60
    parts = {split.name: set(split.members.values_list("part", flat=True)) for split in release.splits.all()}
    assert parts == {"80/10/10": {"train", "validation", "test"}, "5 folds": {f"fold {n}" for n in range(1, 6)}}


@pytest.mark.parametrize("asked", [3, 10])
def test_as_many_folds_are_drawn_as_are_asked_for(release, questionnaire, asked):
    later = freezing.freeze(questionnaire, name="v2", seed=1, n_folds=asked)
    folds = later.splits.get(name=f"{asked} folds")
    parts = folds.members.values_list("part", flat=True)
    assert set(parts) == {f"fold {n}" for n in range(1, asked + 1)} and len(parts) == later.items.count()
    assert not later.splits.filter(name="5 folds").exists()


def test_without_a_number_as_many_folds_are_drawn_as_in_the_last_release(release, questionnaire):
    for number, asked in enumerate((4, 6)):
        freezing.freeze(questionnaire, name=f"asked-{number}", seed=1, n_folds=asked)
    later = freezing.freeze(questionnaire, name="later", seed=1)
    assert later.splits.filter(name="6 folds").exists()


def test_a_fold_whose_tracks_are_all_gone_is_filled_again(release, questionnaire):
    first = freezing.freeze(questionnaire, name="v2", seed=1, n_folds=4)
    gone = first.splits.get(name="4 folds").members.filter(part="fold 2").values("item__track")
    Track.objects.filter(pk__in=gone).update(state="excluded", reason="has vocals")
    later = freezing.freeze(questionnaire, name="v3", seed=1, n_folds=4)
    assert set(later.splits.get(name="4 folds").members.values_list("part", flat=True)) == {f"fold {n}" for n in range(1, 5)}


@pytest.mark.parametrize("name", ["1 folds", "400 folds", "many folds"])
def test_folds_of_another_studio_that_cannot_be_drawn_are_not_followed(release, questionnaire, name):
    release.splits.filter(name="5 folds").update(name=name, parts={})
    assert freezing.freeze(questionnaire, name="v2", seed=1).splits.filter(name="5 folds").exists()


def test_more_folds_than_artists_are_refused_where_they_were_asked_for(release, questionnaire):
    with pytest.raises(ValueRefused, match="20 folds need as many artists"):
        freezing.freeze(questionnaire, name="v2", seed=1, n_folds=20)


def test_a_release_says_how_many_of_its_ratings_came_from_elsewhere(release, questionnaire):
    assert release.reliability["n_elsewhere"] == 0
    Rating.objects.filter(rater__pseudonym__in=["R0", "R1"]).update(elsewhere=True)
    later = freezing.freeze(questionnaire, name="v2", seed=1)
    assert later.reliability["n_elsewhere"] == 24
    assert "24 of 60 ratings were collected elsewhere" in datasheet.markdown(contents.of(later).about)


@pytest.mark.parametrize("asked", [2, 21])
def test_too_few_and_too_many_folds_are_refused(release, questionnaire, asked):
    with pytest.raises(ValueRefused, match=f"{asked} folds"):
        freezing.freeze(questionnaire, name="v2", seed=1, n_folds=asked)


def test_everything_else_is_listed_with_its_reason(make_track, rate, questionnaire):
    rate(make_track("Agreed"), "happy happy happy sad calm")
    rate(make_track("Split"), "happy happy sad sad calm")
    rate(make_track("Few"), "happy happy")
    gone = make_track("Vocal")
    rate(gone, "happy happy happy happy happy")
    Track.objects.filter(pk=gone.pk).update(state="excluded", reason="has vocals")
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    assert [item.title for item in release.items.all()] == ["Agreed"]
    assert {row["title"]: row["reason"] for row in release.left_out} == {
        "Split": "Ambiguous label: 2 negative - 2 positive - 1 neutral",
        "Few": "Too few ratings: 2 of 5",
        "Vocal": "Excluded: has vocals",
    }


def test_nothing_cannot_be_frozen(questionnaire):
    with pytest.raises(NothingToFreeze, match="Collect more ratings"):
        freezing.freeze(questionnaire, name="v1", seed=1)
    assert not Release.objects.exists()


def test_a_name_is_used_once(release, questionnaire):
    with pytest.raises(NameTaken, match="songs-v1"):
        freezing.freeze(questionnaire, name="songs-v1", seed=2)
    assert Release.objects.count() == 1


def test_the_same_tracks_and_seed_give_the_same_split_and_another_name_the_same_hash(release, questionnaire):
    again = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    assert again.content_hash == release.content_hash
    parts = list(SplitMember.objects.filter(split__release=release).order_by("pk").values_list("part", flat=True))
    other = freezing.freeze(questionnaire, name="songs-v3", seed=3)  # a track keeps its part and its fold, whatever the seed
    assert list(SplitMember.objects.filter(split__release=other).order_by("pk").values_list("part", flat=True)) == parts


def test_the_hash_covers_labels_ratings_and_parts(release):
    before = release.content_hash
    for change in (
        lambda: release.items.filter(pk=release.items.first().pk).update(label="negative"),
        lambda: release.ratings.filter(pk=release.ratings.first().pk).update(word="bored"),
        lambda: release.items.filter(pk=release.items.first().pk).update(title="other"),
        lambda: release.ratings.filter(pk=release.ratings.first().pk).update(rated_at="2020-01-01T00:00Z"),
        lambda: release.ratings.filter(pk=release.ratings.first().pk).update(valence=0.1),
        lambda: SplitMember.objects.filter(split__release=release, part="test").update(part="train"),
        lambda: release.reliability.update(alpha=0.99),
        lambda: release.funnel.clear(),
    ):
        change()
        after = releases.content_hash(release)
        assert after != before
        before = after


@pytest.mark.parametrize(
    ("name", "seed", "message"),
    [("a b", 1, "a b"), ("x" * 61, 1, "at most 60"), ("v1", -1, "seed -1"), ("v1", 2**31, "not between")],
)
def test_a_name_that_is_none_and_a_seed_out_of_bounds_are_refused(make_track, rate, questionnaire, name, seed, message):
    rate(make_track(), "happy happy happy happy happy")
    with pytest.raises(ValueRefused, match=message):
        freezing.freeze(questionnaire, name=name, seed=seed)


def test_a_label_renamed_later_does_not_reach_the_release(release, questionnaire):
    questionnaire.dataset.labels.filter(key="positive").update(key="joyful")
    release.refresh_from_db()
    assert release.labels == ["positive", "neutral", "negative"]
    row = next(contents.of(release).tracks.rows())
    assert (row["votes_positive"], row["share_positive"], row["share_negative"]) == (4, 0.8, 0.2)
    assert selectors.part_table(release.splits.first()).labels == release.labels


def test_tracks_of_one_artist_are_in_one_part(make_track, rate, questionnaire):
    for number in range(12):
        track = make_track(f"T{number}", artist=f"Artist {number // 3}")
        rate(track, "happy happy happy happy happy")
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    found: dict[str, set[str]] = {}
    for split, artist, part in SplitMember.objects.filter(split__release=release).values_list("split", "item__artist", "part"):
        found.setdefault(f"{split} {artist}", set()).add(part)
    assert all(len(parts) == 1 for parts in found.values())


def test_later_ratings_and_exclusions_do_not_touch_a_release(release, questionnaire):
    Track.objects.update(state="excluded", title="changed")
    assert releases.content_hash(release) == release.content_hash
    assert release.items.first().title.startswith("Piece")


def test_the_form_names_the_value_that_cannot_be_a_name(release, questionnaire, client, curator):
    client.force_login(curator)
    page = client.post(f"/agreement/{questionnaire.pk}/freeze/", {"name": "my release", "seed": "1"}).content.decode()
    assert "“my release” cannot be a release" in page and Release.objects.count() == 1


def parts_now(release) -> dict[str, str]:
    split = release.splits.order_by("id").first()
    return dict(SplitMember.objects.filter(split=split).values_list("item__title", "part"))


def replaced(release, make_track, rate, *, seed: int = 0) -> dict[str, str]:
    """Every track is left out, and another one by the same artist comes in; by title of the new one, the old one's part."""
    before = parts_now(release)
    wanted = {}
    for number, item in enumerate(release.items.select_related("track")):
        Track.objects.filter(pk=item.track_id).update(state="excluded")
        new = make_track(f"New {number}", artist=item.artist)
        rate(new, "happy happy happy happy happy" if number % 2 else "sad sad sad sad sad")
        wanted[new.title] = before[item.title]
    return wanted


def named(release) -> None:
    """Each track by an artist of its own, as it was frozen."""
    for item in release.items.all():
        release.items.filter(pk=item.pk).update(artist=f"Artist {item.pk}")
        Track.objects.filter(pk=item.track_id).update(artist=f"Artist {item.pk}")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_new_track_joins_the_part_that_its_artist_was_in_before(release, questionnaire, make_track, rate, seed):
    named(release)
    wanted = replaced(release, make_track, rate)
    again = freezing.freeze(questionnaire, name="songs-v2", seed=seed)
    assert parts_now(again) == wanted
    assert again.leakage["groups_over_releases"] == [] and again.leakage["moved"] == []


def test_an_artist_stays_one_under_the_name_that_was_frozen(release, questionnaire, make_track, rate):
    named(release)
    wanted = replaced(release, make_track, rate)
    for item in release.items.all():
        Track.objects.filter(pk=item.track_id).update(artist="mended")  # the old ones; the new have the old name
    again = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    first = wanted["New 0"]
    assert set(parts_now(again).values()) <= set(wanted.values()) and parts_now(again)["New 0"] == first


def test_a_copy_that_takes_the_place_of_a_recording_stays_in_its_part(release, questionnaire, make_track, rate, curator):
    before = parts_now(release)
    wanted = {}
    for number, item in enumerate(release.items.select_related("track")):
        copy = make_track(f"Copy {number}")
        rate(copy, "happy happy happy happy happy")
        Duplicate.objects.create(track=copy, other=item.track, similarity=0.99, overlap_s=60, offset_s=0)
        Track.objects.filter(pk=item.track_id).update(state="excluded")
        wanted[copy.title] = before[item.title]
    again = freezing.freeze(questionnaire, name="songs-v2", seed=3)
    assert parts_now(again) == wanted


def test_a_given_split_that_tears_an_artist_from_an_earlier_release_is_reported(release, questionnaire, make_track, rate):
    named(release)
    replaced(release, make_track, rate)
    parts = {track.pk: "test" if track.title == "New 0" else "train" for track in Track.objects.filter(title__startswith="New")}
    again = freezing.freeze(questionnaire, name="songs-v2", seed=1, parts=parts)
    assert again.leakage["groups_over_releases"] and again.leakage["groups_in_two_parts"] == []


def test_what_was_frozen_together_stays_together_whatever_is_found_later(release):
    items = list(release.items.all())
    before = [item.group for item in items]
    Duplicate.objects.create(track=items[0].track, other=items[1].track, similarity=0.99, overlap_s=60, offset_s=0)
    assert [item.group for item in release.items.all()] == before


def test_what_has_changed_since_somebody_looked_is_not_frozen(client, curator, questionnaire, make_track, rate):
    for number in range(3):
        rate(make_track(f"Piece {number}"), "happy happy happy happy happy")
    client.force_login(curator)
    address = f"/agreement/{questionnaire.pk}/freeze/"
    mark = client.get(address).context["mark"]
    rate(make_track("Later"), "sad sad sad sad sad")
    page = client.post(address, {"name": "v1", "seed": 1, "mark": mark})
    assert "have changed since you looked" in page.content.decode() and not Release.objects.exists()
    client.post(address, {"name": "v1", "seed": 1, "mark": page.context["mark"]})
    assert Release.objects.get().items.count() == 4


def test_the_page_shows_what_an_exclusion_leaves_before_anything_is_frozen(client, curator, questionnaire, make_track, rate):
    for number, licence in enumerate(["CC BY 4.0", "", "All rights reserved"]):
        rate(make_track(f"Piece {number}", licence=licence), "happy happy happy happy happy")
    client.force_login(curator)
    page = client.get(f"/agreement/{questionnaire.pk}/freeze/", {"without_unlicensed": "on"})
    assert page.context["n"] == 1 and [step["n"] for step in page.context["funnel"]][-2:] == [3, 1]
    release = freezing.freeze(questionnaire, name="v1", seed=1, without_unlicensed=True)
    assert {row["reason"] for row in release.left_out} == {"Without a licence that lets it be passed on"}


def test_a_track_that_nobody_has_drawn_yet_is_no_complete_one(questionnaire, make_track, rate):
    rate(make_track("Fresh"), "happy happy happy happy happy")
    rate(make_track("Whole", seconds=48), "sad sad sad sad sad")
    with pytest.raises(NothingToFreeze):
        freezing.freeze(questionnaire, name="v1", seed=1, without_incomplete=True)
    freezing.draw_missing(questionnaire)
    release = freezing.freeze(questionnaire, name="v1", seed=1, without_incomplete=True)
    assert release.items.get().title == "Whole" and "Spectrogram incomplete: Too short" in release.left_out[0]["reason"]
