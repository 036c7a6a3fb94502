"""Labels are data: presets, one's own table, and the moment from which they stay."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.models import Questionnaire
from annotate.services import questionnaires
from datasets.errors import WrongState
from datasets.methods import schemes
from datasets.models import Event, Label, Word

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.mark.parametrize("name", schemes.PRESETS)
def test_a_preset_is_set_and_read_back_as_it_is(questionnaire, curator, name):
    from annotate import selectors

    questionnaires.change_labels(questionnaire, schemes.PRESETS[name], by=curator)
    assert selectors.scheme_of(Questionnaire.objects.get(pk=questionnaire.pk)) == schemes.PRESETS[name]
    assert schemes.read_table(schemes.as_table(schemes.PRESETS[name])) == schemes.PRESETS[name]
    assert Event.objects.filter(subject="dataset", to_state="labels set", actor=curator).exists()


def test_russells_words_stand_at_his_angles():
    words = {word.name: word for label in schemes.PRESETS["russell"] for word in label.words}
    assert len(words) == 28
    for name, angle in (("Happy", 7.8), ("Angry", 99.0), ("Sad", 207.5), ("Sleepy", 271.9), ("Pleased", 353.2)):
        found = math.degrees(math.atan2(words[name].arousal, words[name].valence)) % 360
        assert found == pytest.approx(angle, abs=0.1)
        assert math.hypot(words[name].valence, words[name].arousal) == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("", "must name the columns label and word"),
        ("label,word\nHappy,Glad\n", "2 to 12 labels"),
        ("label,word\nHappy,Glad\nSad,glad\n", "Line 3: the word “glad” stands in line 2"),
        ("label,word,valence\nHappy,Glad,2\nSad,Blue,0\n", "“2” is no valence"),
        ("label,word,arousal\nHappy,Glad,nan\nSad,Blue,0\n", "“nan” is no arousal"),
        ("label,word,colour\nHappy,Glad,red}\nSad,Blue,\n", "“red}” is no colour"),
        ("label,word\n!!!,Glad\nSad,Blue\n", "no name of a label"),
        ("label,word\nHappy,???\nSad,Blue\n", "no word"),
        ("label,word\nSplit,Glad\nSad,Blue\n", "is what the studio calls a track without a label"),
    ],
)
def test_a_table_that_is_no_scheme_is_refused_with_its_line(table, why):
    with pytest.raises(ValueError, match=why.replace("?", r"\?")):
        schemes.read_table(table)


def test_labels_and_words_in_other_scripts_have_keys_in_latin_letters():
    scheme = schemes.read_table("label,word\n радость,Веселье\n悲しい,喜\nSedih sekali,囍\nSedih sekali,Xi\n")
    assert schemes.keys_of([label.name for label in scheme]) == ["radost", "beishii", "sedih-sekali"]
    assert schemes.keys_of([word.name for label in scheme for word in label.words]) == ["vesel-e", "xi-2", "xi-3", "xi"]


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=50), max_size=20))
def test_keys_are_different_and_fit_their_column(names):
    keys = schemes.keys_of(names)
    assert len(set(keys)) == len(names) and all(len(key) <= 30 for key in keys)


@given(st.text(max_size=300))
def test_any_text_is_a_scheme_or_an_error(text):
    with contextlib.suppress(ValueError, schemes.csv.Error):
        schemes.read_table("label,word,valence,arousal,label_id,word_id,colour\n" + text)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_copied_from_a_spreadsheet_is_read(mark):
    [label] = schemes.read_table(
        f"label{mark}word{mark}valence{mark}arousal\nHappy{mark}Glad{mark}0,5{mark}-0,25\nSad{mark}Blue{mark}-1{mark}0\n"
    )[:1]
    assert (label.name, label.words[0].name, label.words[0].valence, label.words[0].arousal) == ("Happy", "Glad", 0.5, -0.25)


def test_labels_stay_once_somebody_has_rated(make_track, rate, questionnaire, curator):
    rate(make_track("One"), "happy")
    with pytest.raises(WrongState, match="they stay"):
        questionnaires.change_labels(questionnaire, schemes.PRESETS["quadrants"], by=curator)
    assert set(Label.objects.values_list("key", flat=True)) == {"positive", "neutral", "negative"}


def test_ones_own_scheme_is_a_form_and_reaches_the_raters(client, curator, questionnaire):
    client.force_login(curator)
    address = f"/agreement/{questionnaire.pk}/labels/"
    assert "Melancholy" in client.get(f"{address}?preset=quadrants").content.decode()
    table = "label,word,valence,arousal,word_id,colour\nGelisah,Restless,-0.3,0.6,Gelisah,#aa0044\nTenteram,Peaceful,0.6,-0.6,Tenteram,\n"
    page = client.post(address, {"table": table}, follow=True).content.decode()
    assert "Restless" in page and "Peaceful" in page
    assert Word.objects.get(key="restless").translations == {"id": "Gelisah"}
    assert "#aa0044" in client.get("/labels.css").content.decode()
    assert "is no colour" in client.post(address, {"table": table.replace("#aa0044", "url(x)")}).content.decode()


def test_two_labels_are_rated_agreed_and_frozen(questionnaire, curator, make_track):
    from annotate.models import Consensus, Rater, Rating
    from annotate.services import consensus, freezing

    questionnaires.change_labels(questionnaire, schemes.PRESETS["happy-sad"], by=curator)
    track = make_track("Piece")
    for number, key in enumerate(["happy"] * 4 + ["sad"]):
        word = Word.objects.get(key=key, label__dataset=questionnaire.dataset)
        rater = Rater.objects.create(pseudonym=f"R{number}")
        Rating.objects.create(
            questionnaire=questionnaire, track=track, rater=rater, word=word, label=word.label, rated_at=track.created_at
        )
    consensus.update_consensus(Consensus.objects.select_related("questionnaire").get(track=track))
    release = freezing.freeze(Questionnaire.objects.get(pk=questionnaire.pk), name="two", seed=1)
    assert (release.labels, release.items.get().votes) == (["happy", "sad"], {"happy": 4, "sad": 1})
