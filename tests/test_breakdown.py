"""The figures of where raters agree, and their downloads."""

import csv
import io
from xml.etree import ElementTree

import pytest

from annotate import breakdown
from annotate.models import Rater, Rating

pytestmark = [pytest.mark.django_db, pytest.mark.database]
NAMES = ("words", "pairs", "groups", "plane")


@pytest.fixture
def rated(make_track, rate, questionnaire):
    for number in range(8):
        rate(make_track(f"Piece {number}"), ["happy happy happy sad calm", "sad sad angry happy calm"][number % 2])
    Rater.objects.filter(pseudonym__in=["R0", "R1"]).update(background={"training": "years", "languages": "Indonesian, Sundanese"})
    Rating.objects.filter(rater__pseudonym="R2").update(valence=0.1, arousal=-0.2)
    return questionnaire


def test_the_figures_say_what_the_ratings_say(rated):
    words, pairs, groups, plane = breakdown.figures(rated)
    assert {row[0]: row[2] for row in words.rows} == {"happy": 16, "sad": 12, "calm": 8, "angry": 4}
    assert sum(row[2] for row in pairs.rows) == pytest.approx(1, abs=1e-3)
    found = {(row[0], row[1]): row for row in groups.rows}
    assert found["language", "Indonesian"][2:5] == [2, 16, 8]
    assert found["piece", "not known"][2] == 5 and found["piece", "not known"][5] is not None
    assert len(plane.rows) == 40 and sum(row[5] == "point" for row in plane.rows) == 8


def test_every_figure_can_be_downloaded_with_its_data(client, curator, rated):
    client.force_login(curator)
    page = client.get(f"/agreement/{rated.pk}/figures/").content.decode()
    assert page.count("<svg xmlns") == 4
    for name in NAMES:
        table = client.get(f"/agreement/{rated.pk}/figures/{name}.csv")
        assert len(list(csv.DictReader(io.StringIO(table.content.decode())))) >= 3
        picture = client.get(f"/agreement/{rated.pk}/figures/{name}.svg")
        assert picture["Content-Type"] == "image/svg+xml" and "attachment" in picture["Content-Disposition"]
        assert ElementTree.fromstring(picture.content).tag.endswith("svg")  # noqa: S314  (ours)
    assert client.get(f"/agreement/{rated.pk}/figures/nothing.csv").status_code == 404
    assert client.get(f"/agreement/{rated.pk}/figures/words.exe").status_code == 404


def test_without_ratings_the_page_says_so(client, curator, questionnaire):
    client.force_login(curator)
    assert "no ratings yet" in client.get(f"/agreement/{questionnaire.pk}/figures/").content.decode()
