"""Coordinates of the server-made SVG plots; the templates draw them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext

from datasets.selectors import labels_in_use
from mer.comparing import CompareRow
from mer.methods.metrics import OneRater
from mer.methods.params import SpectrogramParams
from mer.models import Epoch, Evaluation, Inference, LearningCurve

WIDTH, HEIGHT, LEFT, BOTTOM = 420, 180, 52, 26


@dataclass(frozen=True)
class Curve:
    """title says what is shown; each line is (name, SVG points, last value); ticks are (position, text)."""

    title: str
    lines: list[tuple[str, str, str]]
    y_ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Tick:
    share: float  # of the axis, in percent
    text: str


def spectrogram_axes(params: SpectrogramParams) -> dict[str, list[Tick]]:
    """Where some frequencies and times lie beside a picture: hertz from below on Slaney's mel scale (librosa's default), seconds."""
    top = _mel(params.sr / 2)
    hertz = [0.0, 500.0, 1000.0, 2000.0, 4000.0, params.sr / 2]
    seconds = [*range(0, int(params.window_s) - 8, 10), params.window_s]
    return {
        "hertz": [Tick(round(100 * _mel(value) / top, 2), f"{value:,.0f} Hz") for value in hertz],
        "seconds": [Tick(round(100 * value / params.window_s, 2), f"{round(value, 2):g} s") for value in seconds],
    }


def _mel(hertz: float) -> float:
    """Linear below 1,000 Hz, logarithmic above (Slaney, Auditory Toolbox, 1998)."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def learning_curves(epochs: Sequence[Epoch]) -> list[Curve]:
    """Accuracy and loss by epoch, training and validation; of a run in folds those of the last fold that has begun."""
    if not epochs:
        return []
    fold = epochs[-1].fold
    epochs = [row for row in epochs if row.fold == fold]
    of = gettext(", fold %(n)s") % {"n": fold} if fold else ""
    top = max(max(row.loss, row.val_loss) for row in epochs) * 1.05 or 1
    return [
        _curve(gettext("Accuracy by epoch") + of, epochs, ("accuracy", "val_accuracy"), 1.0, "{:.0%}"),
        _curve(gettext("Loss by epoch") + of, epochs, ("loss", "val_loss"), top, "{:.2f}" if top < 1000 else "{:.1e}"),
    ]


def _curve(title: str, epochs: Sequence[Epoch], fields: tuple[str, str], top: float, text: str) -> Curve:
    last = max(row.number for row in epochs)

    def x(number: float) -> float:
        return LEFT + (WIDTH - LEFT - 8) * ((number - 1) / (last - 1) if last > 1 else 0.5)

    def y(value: float) -> float:
        return 8 + (HEIGHT - BOTTOM - 8) * (1 - min(value, top) / top)

    lines = []
    for name, field in zip(("training", "validation"), fields, strict=True):
        points = " ".join(f"{x(row.number):.1f},{y(getattr(row, field)):.1f}" for row in epochs)
        lines.append((name, points, text.format(getattr(epochs[-1], field))))
    y_ticks = [(y(share * top), text.format(share * top)) for share in (0, 0.5, 1)]
    step = max(1, last // 5)
    x_ticks = [(x(number), str(number)) for number in range(1, last + 1, step)]
    return Curve(title, lines, y_ticks, x_ticks)


@dataclass(frozen=True)
class Whisker:
    name: str
    url: str
    y: float
    low: float
    dot: float
    high: float
    majority: float | None
    text: str


@dataclass(frozen=True)
class Whiskers:
    """title says what is shown; human : where one rater stands, None where that is not known."""

    title: str
    rows: list[Whisker]
    height: float
    ticks: list[tuple[float, str]]
    human: float | None = None
    top: int | None = None  # in a picture of several

    @property
    def has_majority(self) -> bool:
        return any(row.majority is not None for row in self.rows)


def stacked(made: Sequence[Whiskers]) -> dict[str, Any]:
    """Several plots under each other, for a picture that stands alone."""
    placed, top = [], 54
    for plot in made:
        placed.append(replace(plot, top=top))
        top += int(plot.height) + 26 + 34
    return {"plots": placed, "height": top, "human": any(plot.human for plot in made)}


def both_whiskers(found: Sequence[CompareRow], *, human: OneRater | None) -> list[Whiskers]:
    """Test accuracy and macro-F1 of each run, each with its interval, on axes from 0 to 1."""
    rows = [row for row in found if row.test]
    accuracy = [(row, row.test.accuracy, row.test.low, row.test.high, row.test.majority) for row in rows if row.test]
    f1 = []
    for row in rows:
        drawn = row.test.figures.get("macro_f1") if row.test else None
        if row.test and drawn and drawn["value"] is not None:
            low, high = (drawn[end] if drawn[end] == drawn[end] else None for end in ("low", "high"))  # NaN is unlike itself
            f1.append((row, drawn["value"], low, high, row.test.majority_f1))
    made = [
        _whiskers(gettext("Test accuracy with 95% interval"), accuracy, "{:.0%}", human=human.accuracy.value if human else None)
    ]
    return (
        [
            *made,
            _whiskers(
                gettext("Macro-F1 on the test part with 95% interval"), f1, "{:.2f}", human=human.macro_f1.value if human else None
            ),
        ]
        if f1
        else made
    )


def _whiskers(
    title: str,
    rows: Sequence[tuple[CompareRow, float, float | None, float | None, float | None]],
    form: str,
    *,
    human: float | None = None,
) -> Whiskers:
    def x(value: float) -> float:
        return 16 + 532 * min(1.0, max(0.0, value))

    drawn = []
    for number, (row, value, low, high, majority) in enumerate(rows):
        n = row.test.n if row.test else 0
        interval = f" ({form.format(low)}–{form.format(high)})" if low is not None and high is not None else ""
        text = f"{form.format(value)}{interval}, n = {n}"
        low, high = (value if end is None else end for end in (low, high))
        place = 40 + 48 * number
        drawn.append(
            Whisker(
                row.run.name,
                row.run.get_absolute_url(),
                place,
                x(low),
                x(value),
                x(high),
                None if majority is None else x(majority),
                text,
            )
        )
    ticks = [(x(share / 4), form.format(share / 4)) for share in range(5)]
    return Whiskers(title, drawn, 12 + 48 * len(drawn), ticks, None if human is None else x(human))


@dataclass(frozen=True)
class Along:
    """Probabilities along a recording, stacked: for each label its rectangles (x, y, width, height), and the waveform behind."""

    width: int
    height: int
    bands: list[tuple[str, list[tuple[float, float, float, float]]]]
    wave: str
    ticks: list[tuple[float, str]]
    rows: list[tuple[str, list[tuple[str, float]]]]
    left_s: float  # at the end, in no window


def along(asked: Inference) -> Along:
    width, height = 720, 160
    total = asked.duration_s or 1.0
    windows = asked.windows or [[0.0, total, asked.probabilities]]
    bands: dict[str, list[tuple[float, float, float, float]]] = {label: [] for label in asked.probabilities}
    rows = []
    for start, stop, said in windows:
        top = 0.0
        for label, share in said.items():
            x, wide = width * start / total, width * max(0.0, stop - start) / total
            bands[label].append((round(x, 1), round(height * top, 1), round(wide, 1), round(height * share, 1)))
            top += share
        rows.append((f"{_clock(start)}–{_clock(stop)}", list(said.items())))
    step = width / max(1, len(asked.peaks))
    wave = " ".join(
        f"M{round(step * (number + 0.5), 1)} {round(height / 2 - height * peak / 220, 1)}v{round(height * peak / 110, 1)}"
        for number, peak in enumerate(asked.peaks)
    )
    ticks = [(width * share / 4, _clock(total * share / 4)) for share in range(5)]
    return Along(width, height, list(bands.items()), wave, ticks, rows, total - max(stop for _start, stop, _said in windows))


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


@dataclass(frozen=True)
class SizeCurve:
    """For each order: its name, SVG points of the mean, and of the band of its 95% interval."""

    lines: list[tuple[str, str, str]]
    y_ticks: list[tuple[float, str]]
    x_ticks: list[tuple[float, str]]
    rows: list[dict[str, Any]]


def curve_of_sizes(curve: LearningCurve) -> SizeCurve:
    width, height, left = 560, 260, 52
    points = curve.points
    most = float(max(point["n"] for point in points))
    low = float(min(point["low"] for point in points))
    floor = float(math.floor(low * 10) / 10)

    def x(n: float) -> float:
        return left + (width - left - 12) * n / most

    def y(value: float) -> float:
        return 10 + (height - 40) * (1 - (value - floor) / max(1e-9, 1 - floor))

    lines = []
    for order in ("random", "uncertain"):
        mine = [point for point in points if point["order"] == order]
        mean = " ".join(f"{x(p['n']):.1f},{y(p['accuracy']):.1f}" for p in mine)
        band = " ".join(
            [f"{x(p['n']):.1f},{y(p['high']):.1f}" for p in mine] + [f"{x(p['n']):.1f},{y(p['low']):.1f}" for p in reversed(mine)]
        )
        lines.append((order, mean, band))
    y_ticks = [(y(tenth / 10), f"{tenth * 10}%") for tenth in range(round(floor * 10), 11, 2)]
    x_ticks = [(x(p["n"]), f"{p['n']:.0f}") for p in points if p["order"] == "random"]
    return SizeCurve(lines, y_ticks, x_ticks, points)


def confusion(evaluation: Evaluation, labels: list[str]) -> list[dict[str, Any]]:
    """Rows of a confusion matrix with the share of the true label as the shade (0-100)."""
    rows = []
    for label, counts in zip(labels, evaluation.confusion, strict=True):
        total = sum(counts)
        cells = [
            {"n": n, "shade": round(100 * n / total) if total else 0, "right": labels[i] == label, "said": labels[i]}
            for i, n in enumerate(counts)
        ]
        rows.append({"label": label, "cells": cells, "total": total})
    return rows


@dataclass(frozen=True)
class FigureRow:
    """value and interval as text."""

    name: str
    value: str
    interval: str


def figure_rows(evaluation: Evaluation, labels: Sequence[str]) -> list[FigureRow]:
    """All figures of a part with their intervals, for a table; empty for an evaluation from before there were any."""
    found = evaluation.figures
    if not found:
        return []
    named = dict(labels_in_use())
    names = [
        (gettext("Accuracy"), found["accuracy"], "{:.1%}"), (gettext("Macro-F1"), found["macro_f1"], "{:.3f}"),
        (gettext("Log-loss of the labels (nats)"), found["log_loss"], "{:.3f}"),
        (gettext("Cross-entropy to the votes (nats)"), found["cross_entropy"], "{:.3f}"),
        (gettext("Calibration error (ECE)"), found["ece"], "{:.3f}"),
        *(
            (gettext("Recall of %(label)s (n = %(n)s)") % {"label": named.get(label, label), "n": sum(row)}, recall, "{:.1%}")
            for label, recall, row in zip(labels, found["recalls"], evaluation.confusion, strict=True)
        ),
    ]  # fmt: skip
    return [
        FigureRow(
            name, _said(row["value"], form), "–" if row["low"] is None else f"{_said(row['low'], form)}–{_said(row['high'], form)}"
        )
        for name, row, form in names
    ]  # fmt: skip


def _said(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


SIDE = 200  # of the reliability plot's square


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    r: float
    text: str


def reliability(evaluation: Evaluation) -> list[Dot]:
    """A dot a bin of confidence: how often it was right over how sure it was; on the diagonal a model is as right as it is sure."""
    bins = evaluation.figures.get("bins", [])
    most = max((row["n"] for row in bins), default=1)
    return [
        Dot(
            round(SIDE * row["confidence"], 1), round(SIDE * (1 - row["accuracy"]), 1), round(4 + 8 * math.sqrt(row["n"] / most), 1),
            gettext("%(n)d tracks: %(sure)s sure, %(right)s right")
            % {"n": row["n"], "sure": f"{row['confidence']:.0%}", "right": f"{row['accuracy']:.0%}"},
        )
        for row in bins
    ]  # fmt: skip
