"""Coordinates of the server-made SVG plots; the templates draw them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from mer.methods.params import SpectrogramParams
from mer.models import Epoch, Evaluation
from mer.selectors import CompareRow

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
    top = max(max(row.loss, row.val_loss) for row in epochs) * 1.05 or 1
    return [
        _curve("Accuracy by epoch", epochs, ("accuracy", "val_accuracy"), 1.0, "{:.0%}"),
        _curve("Loss by epoch", epochs, ("loss", "val_loss"), top, "{:.2f}"),
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
    majority: float
    text: str


@dataclass(frozen=True)
class Whiskers:
    rows: list[Whisker]
    height: float
    ticks: list[tuple[float, str]]
    human: float | None = None


def whiskers(rows: Sequence[CompareRow], *, human: float | None = None) -> Whiskers:
    """Test accuracy of each run with its interval, on an axis from 0 to 100%; the majority baseline as a mark, one rater as a line."""

    def x(value: float) -> float:
        return 110 + 420 * value

    drawn = []
    for number, row in enumerate(rows):
        if row.test:
            text = f"{row.test.accuracy:.1%} ({row.test.n_correct} of {row.test.n}; 95% interval {row.test.low:.1%} to {row.test.high:.1%})"
            drawn.append(
                Whisker(
                    row.run.name,
                    row.run.get_absolute_url(),
                    24 + 30 * number,
                    x(row.test.low),
                    x(row.test.accuracy),
                    x(row.test.high),
                    x(row.test.majority),
                    text,
                )
            )
    height = 24 + 30 * len(rows)
    ticks = [(x(share / 100), f"{share}%") for share in (0, 25, 50, 75, 100)]
    return Whiskers(drawn, height, ticks, None if human is None else x(human))


def confusion(evaluation: Evaluation, labels: list[str]) -> list[dict[str, Any]]:
    """Rows of a confusion matrix with the share of the true label as the shade (0-100)."""
    rows = []
    for label, counts in zip(labels, evaluation.confusion, strict=True):
        total = sum(counts)
        cells = [
            {"n": n, "shade": round(100 * n / total) if total else 0, "right": labels[i] == label} for i, n in enumerate(counts)
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
    names = [
        (gettext("Accuracy"), found["accuracy"], "{:.1%}"), (gettext("Macro-F1"), found["macro_f1"], "{:.3f}"),
        (gettext("Log-loss of the labels (nats)"), found["log_loss"], "{:.3f}"),
        (gettext("Cross-entropy to the votes (nats)"), found["cross_entropy"], "{:.3f}"),
        (gettext("Calibration error (ECE)"), found["ece"], "{:.3f}"),
        *(
            (gettext("Recall of %(label)s") % {"label": label}, recall, "{:.1%}")
            for label, recall in zip(labels, found["recalls"], strict=True)
        ),
    ]  # fmt: skip
    return [
        FigureRow(name, _said(row["value"], form), f"{_said(row['low'], form)}–{_said(row['high'], form)}")
        for name, row, form in names
    ]


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
