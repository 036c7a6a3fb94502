"""The figures of where raters agree, each with the table behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from django.utils.translation import gettext as _

from annotate.forms import BackgroundForm
from annotate.methods import breakdown, reliability
from annotate.models import Kind, Questionnaire, Rating
from annotate.selectors import number_or_none
from datasets.models import Word

FEWEST_TRACKS = 5  # with two ratings of a group: alpha over fewer says nothing
MOST_POINTS = 2000


@dataclass(frozen=True)
class Figure:
    """name : of its download. columns, rows : the table behind it. drawn : what the template draws."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[object]]
    drawn: dict[str, Any] = field(default_factory=dict)

    @property
    def template(self) -> str:
        return f"annotate/figures/{self.name}.svg"

    @property
    def first_rows(self) -> list[list[object]]:
        """Some of the table for the page; all of it is in the download."""
        return self.rows[:50]


WIDTH, PLANE = 520, 200  # of a picture, and of half the plane in it
LETTER, WIDE_LETTER = 9.6, 17.0  # the width that a letter may take, also in the larger type of a phone


def width_of(text: str) -> float:
    return sum(WIDE_LETTER if east_asian_width(letter) in "WF" or letter in "WM@%mw" else LETTER for letter in text)


def short(name: str, most: int = 18) -> str:
    """Cut to the room of so many letters."""
    if width_of(name) <= most * LETTER:
        return name
    while width_of(f"{name}…") > most * LETTER:
        name = name[:-1]
    return f"{name}…"


def figures(questionnaire: Questionnaire, *, only: str = "") -> list[Figure]:
    """By word, by pair of labels, by group of raters, and the plane; `only` the one of this name."""
    rows = Rating.objects.filter(questionnaire=questionnaire, kind=Kind.REGULAR, not_counted="").order_by("pk")
    table = list(
        rows.values_list(
            "track_id",
            "label__key",
            "word__key",
            "word__name",
            "known",
            "rater__background",
            "valence",
            "arousal",
            "word__valence",
            "word__arousal",
            "rater_id",
        )
    )
    if not table:
        return []
    named = {label.key: str(label) for label in questionnaire.dataset.labels.all()}
    words = {word.key: str(word) for word in Word.objects.filter(label__dataset=questionnaire.dataset_id)}
    labels = list(named)
    _names, tracks = np.unique([row[0] for row in table], return_inverse=True)
    chosen = np.array([labels.index(row[1]) for row in table])
    make: dict[str, Callable[[], Figure]] = {
        "words": lambda: _words(table, tracks, chosen, len(labels), words),
        "pairs": lambda: _pairs(tracks, chosen, named),
        "groups": lambda: _groups(table, tracks, chosen, len(labels)),
        "plane": lambda: _plane(table, chosen, named),
    }
    return [figure() for name, figure in make.items() if only in ("", name)]


def _words(table: list[Any], tracks: breakdown.Ints, chosen: breakdown.Ints, n_labels: int, words: dict[str, str]) -> Figure:
    shares = breakdown.others_agree(tracks, chosen, n_labels)
    found: dict[str, list[int]] = {}
    for place, row in enumerate(table):
        if row[2]:
            found.setdefault(row[2], []).append(place)
    rows: list[list[object]] = []
    for key, places in found.items():
        values = shares[places]
        values = values[~np.isnan(values)]
        mean = float(values.mean()) if values.size else math.nan
        rows.append([key, table[places[0]][1], len(places), number_or_none(round(mean, 4))])
    rows.sort(key=lambda row: -float(str(row[3] or 0)))
    left = 8 + max((width_of(short(words[key])) for key in found), default=0)
    bars = []
    for place, (word, of_label, n, share) in enumerate(rows):
        width = (WIDTH - left - 8 - 15 * LETTER) * float(str(share or 0))
        bars.append(
            {
                "name": words[str(word)], "word": short(words[str(word)]), "label": of_label, "y": 14 + 22 * place, "top": 7 + 22 * place,
                "width": round(width, 1), "end": round(left + 14 + width, 1), "text": f"{'–' if share is None else format(share, '.0%')}, n = {n}",
            }
        )  # fmt: skip
    drawn = {"bars": bars, "height": 22 * len(bars) + 8, "left": round(left, 1), "begin": round(left + 8, 1)}
    title = _("How often other raters chose the same label, by word")
    return Figure("words", title, ["word", "label", "ratings", "others_agree"], rows, drawn)


def _pairs(tracks: breakdown.Ints, chosen: breakdown.Ints, labels: dict[str, str]) -> Figure:
    """labels : {key: name}."""
    observed, expected = breakdown.label_pairs(breakdown.counts_of(tracks, chosen, len(labels)))
    rows: list[list[object]] = []
    cells = []
    longest = max(width_of(short(name)) for name in labels.values())
    left = round(12 + longest)
    size = (WIDTH - left - 8) // len(labels) - 4
    is_narrow = size < max(80, longest)  # no room for more than the share
    for first, one in enumerate(labels):
        line = []
        for second, other in enumerate(labels):
            by_chance = float(expected[first, second])
            ratio = float(observed[first, second]) / by_chance if by_chance else math.nan
            rows.append(
                [one, other, round(float(observed[first, second]), 5), round(by_chance, 5), number_or_none(round(ratio, 3))]
            )
            words = f"{observed[first, second]:.0%}" + ("" if math.isnan(ratio) else f" · {ratio:.1f}×")
            place = {"left": left + second * (size + 4), "top": 28 + 40 * first, "x": left + second * (size + 4) + size / 2}
            said = {"text": words.partition(" ")[0] if is_narrow else words, "whole": f"{labels[one]} – {labels[other]}: {words}"}
            line.append(place | said | {"shade": round(min(0.75, float(observed[first, second]) * 1.5), 3)})
        cells.append({"text": short(labels[one]), "y": 46 + 40 * first, "cells": line})
    rise = round(longest) if is_narrow else 0  # for names that stand upright
    heads = [{"text": short(name), "x": left + place * (size + 4) + size / 2} for place, name in enumerate(labels.values())]
    title = _("Two raters of one track: how often they chose this pair, and how many times as often as by chance")
    return Figure(
        "pairs",
        title,
        ["label", "other", "observed", "by_chance", "ratio"],
        rows,
        {
            "heads": heads,
            "lines": cells,
            "size": size,
            "is_narrow": is_narrow,
            "rise": rise,
            "names_end": left - 8,
            "height": 40 * len(labels) + 36 + rise,
        },
    )


def _groups(table: list[Any], tracks: breakdown.Ints, chosen: breakdown.Ints, n_labels: int) -> Figure:
    """Alpha among the ratings of a group alone; a rater who told nothing is in no group of that kind."""
    groups: dict[tuple[str, str], list[int]] = {}
    training = dict(BackgroundForm.TRAINING)
    for place, row in enumerate(table):
        if row[4] is not None:
            groups.setdefault((_("piece"), _("known") if row[4] else _("not known")), []).append(place)
        told = row[5] or {}
        if told.get("training"):
            groups.setdefault((_("training"), str(training.get(told["training"], told["training"]))), []).append(place)
        for language in {part.strip().capitalize()[:30] for part in str(told.get("languages", "")).split(",") if part.strip()}:
            groups.setdefault((_("language"), language), []).append(place)
    rows: list[list[object]] = []
    drawn = []
    for (kind, name), places in sorted(groups.items()):
        _used, mine = np.unique(tracks[places], return_inverse=True)
        counts = breakdown.counts_of(mine, chosen[places], n_labels)
        n_tracks = int((counts.sum(axis=1) > 1).sum())
        raters = len({table[place][10] for place in places})
        alpha = low = high = math.nan
        if n_tracks >= FEWEST_TRACKS:
            alpha = reliability.krippendorff_alpha(counts)
            low, high = reliability.alpha_interval(counts, seed=1)
        rows.append([kind, name, raters, len(places), n_tracks, *(number_or_none(round(value, 4)) for value in (alpha, low, high))])
        if not math.isnan(alpha):
            drawn.append({"name": short(f"{kind}: {name}", 24), "alpha": alpha, "low": low, "high": high, "n": n_tracks})
    columns = ["kind", "group", "raters", "ratings", "tracks_with_two", "alpha", "low", "high"]
    return Figure("groups", _("Krippendorff’s alpha among the raters of a group"), columns, rows, {"whiskers": _whiskers(drawn)})


def _whiskers(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """On an axis from -0.2 to 1, 340 wide from 10; what a row says stands above it, so that it is read on a phone too."""

    def x(value: float) -> float:
        return round(10 + 340 * (min(1.0, max(-0.2, value)) + 0.2) / 1.2, 1)

    rows = [
        {
            "name": row["name"], "said_at": 16 + 42 * place, "y": 30 + 42 * place, "dot": x(row["alpha"]), "low": x(row["low"]), "high": x(row["high"]),
            "text": f"{row['alpha']:.2f} ({row['low']:.2f} – {row['high']:.2f}), n = {row['n']}",
        }
        for place, row in enumerate(groups)
    ]  # fmt: skip
    return {
        "rows": rows,
        "height": 42 * max(1, len(rows)) + 4,
        "ticks": [(x(value), f"{value:g}") for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)],
    }


def _plane(table: list[Any], chosen: breakdown.Ints, labels: dict[str, str]) -> Figure:
    """Where a rating lies: at the point the rater gave, else at the place of the word. labels : {key: name}."""
    rows: list[list[object]] = []
    points = np.full((len(table), 2), np.nan)
    for place, row in enumerate(table):
        exact = row[6] is not None and row[7] is not None
        valence, arousal = (row[6], row[7]) if exact else (row[8], row[9])
        if valence is None or arousal is None:
            continue
        points[place] = valence, arousal
        rows.append([row[0], row[1], row[2] or "", valence, arousal, "point" if exact else "word"])
    ellipses, dots = [], []
    for number, label in enumerate(labels):
        mine = points[(chosen == number) & ~np.isnan(points[:, 0])]
        if shape := breakdown.ellipse(mine):
            at = {"x": PLANE * shape.valence, "y": -PLANE * shape.arousal, "turn": -shape.angle}
            ellipses.append({"label": label, "long": PLANE * shape.long, "short": PLANE * shape.short} | at)
        places, times = np.unique(np.round(mine, 2), axis=0, return_counts=True)
        top = times.max(initial=1)
        for (valence, arousal), n in list(zip(places, times, strict=True))[:MOST_POINTS]:
            dots.append(
                {"label": label, "x": PLANE * valence, "y": -PLANE * arousal, "r": 2.4 + 10 * math.sqrt(n / top), "n": int(n)}
            )
    title = _("Ratings in the plane of valence and arousal; the ellipses hold two thirds of each label")
    columns = ["track_id", "label", "word", "valence", "arousal", "from"]
    legend = [
        {"label": key, "name": short(name, 24), "x": 250 * (place % 2) - 240, "y": 262 + 28 * (place // 2)}
        for place, (key, name) in enumerate(labels.items())
    ]
    height = 488 + 28 * math.ceil(len(labels) / 2)
    return Figure("plane", title, columns, rows, {"dots": dots, "ellipses": ellipses, "legend": legend, "height": height})
