"""Ratings from a spreadsheet or a form, with a look at what would come in."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from annotate.methods import imports
from annotate.models import Consensus, Rating

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def two(make_track):
    return make_track("Bengawan Solo"), make_track("Rayuan Pulau Kelapa")


def post(client, questionnaire, text, name="answers.csv", **values):
    data = {"table": SimpleUploadedFile(name, text.encode()), "layout": "rating", "of_two": "refuse"} | values
    return client.post(f"/agreement/{questionnaire.pk}/import/", data, follow=True).content.decode()


FORM = """Timestamp,Email Address,Bengawan Solo,Rayuan Pulau Kelapa
11/24/2026 13:05:00,a@lab.id,Bahagia,sad
11/24/2026 13:06:00,b@lab.id,happy,
11/24/2026 13:07:00,c@lab.id,Senang,Sedih
"""


def test_the_answers_of_a_form_come_in_with_one_column_a_track(client, curator, questionnaire, two):
    client.force_login(curator)
    page = post(client, questionnaire, FORM, layout="rater")
    assert "5 ratings of 2 tracks by 3 raters come in; 0 rows" in page and "rater ← Email Address" in page
    assert not Rating.objects.exists()
    page = post(client, questionnaire, FORM, layout="rater", action="import")
    assert "5 ratings came in" in page
    assert sorted(Rating.objects.filter(track=two[0]).values_list("word__key", flat=True)) == ["happy", "happy", "pleased"]
    assert Rating.objects.filter(rated_at__year=2026).count() == 5
    assert "a@lab.id" not in "".join(Rating.objects.values_list("rater__pseudonym", flat=True))
    assert Consensus.objects.get(track=two[0]).n_ratings == 3


@pytest.mark.parametrize(
    "columns", ["Emosi apa? [Bengawan Solo],Emosi apa? [Rayuan Pulau Kelapa]", "Bengawan Solo [Emosi],Rayuan Pulau Kelapa  [Emosi]"]
)
def test_the_grid_of_a_form_names_its_tracks_in_brackets(client, curator, questionnaire, two, columns):
    client.force_login(curator)
    text = f"Timestamp,Email Address,{columns}\n11/24/2026 13:05:00,a@lab.id,Bahagia,sad\n"
    post(client, questionnaire, text, layout="rater", action="import")
    found = dict(Rating.objects.values_list("track", "word__key"))
    assert found == {two[0].pk: "happy", two[1].pk: "sad"}


@pytest.mark.parametrize(
    ("text", "layout", "why"),
    [
        ("track,rater,word\nNobody knows it [{number}],eve,sad\n", "rating", "no track “Nobody knows it"),
        ("track,rater,word\nBengawan Solo [Live 1994],eve,sad\n", "rating", "no track “Bengawan Solo [Live 1994]”"),
        ("nama,Interlude [{number}]\neve,sad\n", "rater", "no track “Interlude"),
        ("nama,{number}\neve,sad\n", "rater", "no track “"),
        ("nama,Bengawan Solo [Live 1994]\neve,sad\n", "rater", "no track “Bengawan Solo [Live 1994]”"),
        ("nama,Emosi? [Acoustic] [Unheard]\neve,sad\n", "rater", "no track “Emosi? [Acoustic] [Unheard]”"),
    ],
)
def test_brackets_never_give_a_rating_to_a_track_that_is_not_meant(client, curator, questionnaire, two, text, layout, why):
    client.force_login(curator)
    page = post(client, questionnaire, text.format(number=two[0].pk), layout=layout, action="import", leave_out="on")
    assert why in page and not Rating.objects.exists()


def test_the_preview_says_which_track_a_column_of_a_grid_is_taken_for(client, curator, questionnaire, two):
    client.force_login(curator)
    page = post(client, questionnaire, "nama,Emosi? [Bengawan Solo]\nAni,happy\n", layout="rater")
    assert "<bdi>Emosi? [Bengawan Solo]</bdi> → <bdi>Bengawan Solo</bdi>" in page


def test_a_label_is_named_as_people_call_it(client, curator, questionnaire, two):
    client.force_login(curator)
    text = "track,rater,label\nBengawan Solo,Ani,Positif\nBengawan Solo,Budi,POSITIVE\nBengawan Solo,Citra,gembira\n"
    page = post(client, questionnaire, text, action="import", leave_out="on")
    assert "“gembira” is not a label of the dataset (Positive, Neutral, Negative)" in post(client, questionnaire, text)
    assert "2 ratings came in" in page and set(Rating.objects.values_list("label__key", flat=True)) == {"positive"}


def test_a_title_with_brackets_of_its_own_is_that_title(client, curator, questionnaire, make_track):
    client.force_login(curator)
    plain, live = make_track("Bengawan Solo"), make_track("Bengawan Solo [Live]")
    text = "nama,Bengawan Solo [Live],Bengawan Solo  [live] \nAni,happy,\nBudi,,sad\n"
    post(client, questionnaire, text, layout="rater", action="import")
    assert set(Rating.objects.values_list("track", flat=True)) == {live.pk} != {plain.pk}


def test_a_form_may_ask_for_labels(client, curator, questionnaire, two):
    client.force_login(curator)
    post(client, questionnaire, "nama,Bengawan Solo\nAni,Positif\nBudi,negative\n", layout="rater", action="import")
    assert sorted(Rating.objects.values_list("label__key", flat=True)) == ["negative", "positive"]


def test_what_cannot_be_taken_is_listed_and_left_out_only_when_asked(client, curator, questionnaire, two):
    client.force_login(curator)
    text = "lagu,nama,emosi\nBengawan Solo,Ani,happy\nNobody knows it,Ani,happy\nBengawan Solo,Budi,jolly\nBengawan Solo,Ani,sad\n"
    page = post(client, questionnaire, text, action="import")
    assert "line 3: there is no track" in page and "line 4: “jolly”" in page and "line 5: rater Ani rated" in page
    assert not Rating.objects.exists()
    page = post(client, questionnaire, text, action="import", leave_out="on")
    assert "1 rating came in" in page and "3 rows were left out" in page


@pytest.mark.parametrize(("rule", "word"), [("first", "happy"), ("last", "sad")])
def test_of_two_ratings_the_chosen_one_is_kept(client, curator, questionnaire, two, rule, word):
    client.force_login(curator)
    text = "track,rater,word\nBengawan Solo,Ani,happy\nBengawan Solo,Ani,sad\n"
    post(client, questionnaire, text, of_two=rule, action="import")
    assert Rating.objects.get().word.key == word


def test_a_column_can_be_named_and_one_that_is_not_there_is_refused(client, curator, questionnaire, two):
    client.force_login(curator)
    text = "x,y,z\nBengawan Solo,Ani,happy\n"
    assert "not clear which column is the track" in post(client, questionnaire, text)
    assert "There is no column “w”" in post(client, questionnaire, text, track="x", rater="y", word="w")
    assert "1 ratings of 1 tracks" in post(client, questionnaire, text, track="x", rater="y", word="z")
    assert "is no list" in post(client, questionnaire, text, name="answers.pdf")


@pytest.mark.parametrize("text", ["2026-11-24 13:05", "11/24/2026 13:05:00", "24/11/2026 13:05:00", "24/11/2026 13.05.00"])
def test_the_time_is_read_as_forms_write_it(text):
    moment = imports._moment(text, imports._form_of([text, ""]))
    assert (moment.month, moment.day, moment.hour, moment.minute) == (11, 24, 13, 5)


def test_day_and_month_are_the_same_for_a_whole_column(client, curator, questionnaire, two):
    assert imports._moment("05/11/2026 13:05:00", imports._form_of(["05/11/2026 13:05:00", "24/11/2026 13:05:00"])).month == 11
    client.force_login(curator)
    text = "track,rater,word,rated_at\nBengawan Solo,Ani,happy,0001-01-01T00:00:00+14:00\nBengawan Solo,Budi,happy,soon\n"
    page = post(client, questionnaire, text)
    assert "no time at which anybody rated" in page and "“soon” is no time" in page


def test_nothing_of_a_table_is_lost_in_silence(client, curator, questionnaire, two):
    client.force_login(curator)
    twins = "nama,Bengawan Solo,Bengawan Solo\nx,happy,\ny,sad,\n"
    assert "Two columns are named “Bengawan Solo”" in post(client, questionnaire, twins, layout="rater")
    more = "track,rater,word\nBengawan Solo,Ani,happy,too much\n"
    assert "line 2: the row has more cells" in post(client, questionnaire, more)


def test_a_large_spreadsheet_is_refused_not_cut(monkeypatch):
    from datasets.errors import SourceRefused
    from datasets.methods import lists
    from tests.test_imports import sheet

    monkeypatch.setattr(lists, "MOST_ROWS", 3)
    with pytest.raises(SourceRefused, match="more than 3 rows"):
        lists.read_cells(sheet(*[["a"]] * 6), "x.xlsx")
    monkeypatch.setattr(lists, "MOST_COLUMNS", 2)
    with pytest.raises(SourceRefused, match="more than 2 columns"):
        lists.read_cells(sheet(["a", "b", "c"]), "x.xlsx")
    monkeypatch.setattr(lists, "MOST_CELLS", 4)
    with pytest.raises(SourceRefused, match="more than 4 cells"):
        lists.read_cells(b"a,b,c\nd,e,f\n", "x.csv")


def test_a_name_of_two_words_is_no_word(questionnaire, two):
    from annotate import ratings_table
    from datasets.models import Word

    Word.objects.filter(key="calm").update(translations={"id": "Sedih"})
    cells = [
        (2, {"track": "Bengawan Solo", "rater": "Ani", "word": "Sedih"}),
        (3, {"track": "Bengawan Solo", "rater": "Budi", "word": "sad"}),
    ]
    checked = ratings_table.check(questionnaire.dataset, cells)
    assert len(checked.rows) == 1 and "“sedih” is the name of two" in checked.problems[0].casefold()


def test_one_address_in_capitals_is_one_rater():
    given = [(line, {"track": "1", "rater": name, "word": "happy"}) for line, name in enumerate(("a@x.id", "A@X.ID", "R-Ab"), 2)]
    rows, problems = imports.check(given, words={"happy": "positive"}, labels={"positive": "Positive"})
    assert problems == [] and [row.rater for row in rows] == ["a@x.id", "a@x.id", "R-Ab"]
    _kept, twins = imports.one_of_two([(1, row) for row in rows])
    assert len(twins) == 1 and "already in line 2" in twins[0]


def test_a_form_that_has_grown_brings_in_what_is_new(client, curator, questionnaire, two):
    client.force_login(curator)
    first = "track,rater,word\n" + "".join(f"{track.title},a@x.id,happy\n" for track in two)
    later = first + f"{two[0].title},b@x.id,sad\n"
    post(client, questionnaire, first, action="import")
    assert Rating.objects.count() == 2
    assert post(client, questionnaire, later).count("here already; that rating stays") == 2
    post(client, questionnaire, later, action="import", leave_out="on")
    assert Rating.objects.count() == 3 and Rating.objects.filter(track=two[0]).count() == 2
