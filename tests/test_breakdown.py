"""The figures of where raters agree, and their downloads."""

import csv
import io
from unicodedata import east_asian_width
from xml.etree import ElementTree

import pytest
from django.template.loader import render_to_string

from annotate import breakdown
from annotate.models import Rater, Rating
from datasets.models import Word

pytestmark = [pytest.mark.django_db, pytest.mark.database]
NAMES = ("words", "pairs", "groups", "plane")


@pytest.fixture
def rated(make_track, rate, questionnaire):
    for number in range(8):
        rate(make_track(f"Piece {number}"), ["happy happy happy sad calm", "sad sad angry happy calm"][number % 2])
    Rater.objects.filter(pseudonym__in=["R0", "R1"]).update(background={"training": "years", "languages": "Indonesian, Sundanese"})
    Rating.objects.filter(rater__pseudonym="R3").update(known=True)
    Rating.objects.filter(rater__pseudonym="R2").update(valence=0.1, arousal=-0.2)
    return questionnaire


def test_the_figures_say_what_the_ratings_say(rated):
    words, pairs, groups, plane = breakdown.figures(rated)
    assert {row[0]: row[2] for row in words.rows} == {"happy": 16, "sad": 12, "calm": 8, "angry": 4}
    assert sum(row[2] for row in pairs.rows) == pytest.approx(1, abs=1e-3)
    found = {(row[0], row[1]): row for row in groups.rows}
    assert found["language", "Indonesian"][2:5] == [2, 16, 8]
    assert ("piece", "not known") not in found, "nobody was asked: these ratings came without a page"
    assert found["piece", "known"][2:4] == [1, 8]
    assert len(plane.rows) == 40 and sum(row[5] == "point" for row in plane.rows) == 8


def assert_fits(svg: ElementTree.Element) -> None:
    """In the units of type of twelve pixels, which is what a picture by itself is set in, nothing is out of the picture or floods it."""
    left, top, width, height = map(float, svg.attrib["viewBox"].split())
    assert svg.tag.endswith("svg") and width >= 360
    for node in svg.iter():
        place = {name: float(node.attrib.get(name, 0)) for name in ("x", "y", "cx", "cy", "r", "rx", "ry")}
        if node.tag.endswith("text"):
            end = {"end": -1, "middle": 0, "start": 1, None: 1}[node.attrib.get("text-anchor")]
            long = sum(12 if east_asian_width(letter) in "WF" or letter in "WM" else 7 for letter in node.text or "")
            upright = "rotate(-90" in node.attrib.get("transform", "")
            assert "font-size" not in node.attrib or float(node.attrib["font-size"]) > 9
            assert upright or (
                left <= place["x"] - (long if end < 0 else 0) and place["x"] + (long if end > 0 else 0) <= left + width
            ), node.text
        if node.tag.endswith("circle"):
            assert place["r"] < width / 20 and left <= place["cx"] <= left + width and top <= place["cy"] <= top + height


@pytest.mark.parametrize("name", ["Motivation", "WWWWWWWWWWWWWWWWWWWWWW", "感情の動きを表す言葉がとても長い"])
def test_long_names_of_ones_own_fit_too(client, curator, questionnaire, make_track, rate, name):
    labels = questionnaire.dataset.labels.all()
    labels.update(name=f"{name} and power beyond all measure"[:50])
    Word.objects.filter(label__in=labels).update(name=f"{name} by everything that is there"[:50])
    for number in range(4):
        rate(make_track(f"Piece {number}"), "happy happy sad calm angry")
    for figure in breakdown.figures(questionnaire):
        page = render_to_string(f"annotate/figures/{figure.name}.svg", {"figure": figure, "alone": True})
        assert_fits(ElementTree.fromstring(page))  # noqa: S314  (ours)
        assert figure.name == "groups" or "…" in page


def test_a_word_that_nobody_else_could_agree_with_has_no_share(questionnaire, make_track, rate):
    rate(make_track("Alone"), "sad")
    [bar] = breakdown.figures(questionnaire, only="words")[0].drawn["bars"]
    assert bar["text"] == "–, n = 1"


def test_every_figure_can_be_downloaded_with_its_data(client, curator, rated):
    client.force_login(curator)
    page = client.get(f"/agreement/{rated.pk}/figures/").content.decode()
    assert page.count("<svg xmlns") == 4
    for name in NAMES:
        table = client.get(f"/agreement/{rated.pk}/figures/{name}.csv")
        assert len(list(csv.DictReader(io.StringIO(table.content.decode())))) >= 3
        picture = client.get(f"/agreement/{rated.pk}/figures/{name}.svg")
        assert picture["Content-Type"] == "image/svg+xml" and "attachment" in picture["Content-Disposition"]
        assert_fits(ElementTree.fromstring(picture.content))  # noqa: S314  (ours)
    assert client.get(f"/agreement/{rated.pk}/figures/nothing.csv").status_code == 404
    assert client.get(f"/agreement/{rated.pk}/figures/words.exe").status_code == 404


def test_without_ratings_the_page_says_so(client, curator, questionnaire):
    client.force_login(curator)
    assert "no ratings yet" in client.get(f"/agreement/{questionnaire.pk}/figures/").content.decode()
