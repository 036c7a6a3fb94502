"""Label schemes: the words that raters choose, the label that each stands for, and its place in the plane of valence and arousal.

Valence and arousal run from -1 (unpleasant, calm) to 1 (pleasant, excited). Indonesian names are explained in
docs/guide/emotion-words.md.

References
----------
.. [1] A. A. Wijaya, I. Yasmina, A. Zahra. Indonesian Music Emotion Recognition Based on Audio with Deep Learning Approach. ASTESJ 6(2),
       2021: section 3.2, nine words in three labels.
.. [2] J. A. Russell. A Circumplex Model of Affect. Journal of Personality and Social Psychology 39(6), 1980: 28 words, each at an angle.
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from anyascii import anyascii

MOST_LABELS, MOST_WORDS = 12, 60
COLUMNS = ("label", "word", "valence", "arousal", "label_id", "word_id", "colour")


@dataclass(frozen=True)
class WordSpec:
    name: str
    indonesian: str
    valence: float
    arousal: float


@dataclass(frozen=True)
class LabelSpec:
    """colour : "#rrggbb", or empty for the studio's own."""

    name: str
    indonesian: str
    colour: str
    words: tuple[WordSpec, ...]


Scheme = tuple[LabelSpec, ...]


RESERVED = {"open", "split"}  # states of a track, which stand where its label would


def key_of(name: str) -> str:
    """A name as a column's or a class's name: letters, digits and dashes; other scripts in Latin letters."""
    return re.sub(r"[^a-z0-9]+", "-", anyascii(name).lower()).strip("-")[:30]


def keys_of(names: Sequence[str]) -> list[str]:
    """A key for each name; of those that read alike in Latin letters, one that is written so has it, and the others are numbered."""
    found: dict[int, str] = {}
    in_latin_first = sorted(range(len(names)), key=lambda place: key_of(names[place]) != names[place].casefold())
    for place in in_latin_first:
        key, n = key_of(names[place]), 1
        while key in found.values():
            n += 1
            key = f"{key_of(names[place])[:27].rstrip('-')}-{n}"
        found[place] = key
    return [found[place] for place in range(len(names))]


def _words(*rows: tuple[str, str, float, float]) -> tuple[WordSpec, ...]:
    return tuple(WordSpec(*row) for row in rows)


PAPER: Scheme = (
    LabelSpec("Positive", "Positif", "", _words(
        ("Excited", "Bersemangat", 0.6, 0.8), ("Happy", "Bahagia", 0.8, 0.45), ("Pleased", "Senang", 0.85, 0.1))),
    LabelSpec("Neutral", "Netral", "", _words(
        ("Relaxed", "Santai", 0.75, -0.3), ("Calm", "Tenang", 0.5, -0.65), ("Bored", "Bosan", -0.4, -0.7))),
    LabelSpec("Negative", "Negatif", "", _words(
        ("Sad", "Sedih", -0.75, -0.35), ("Frustrated", "Frustrasi", -0.7, 0.4), ("Angry", "Marah", -0.5, 0.75))),
)  # fmt: skip

QUADRANTS = (
    ("Excitement", "Kegembiraan", "#a85200"), ("Tension", "Ketegangan", "#b3261e"), ("Melancholy", "Kemurungan", "#0b5a9c"),
    ("Peace", "Kedamaian", "#1b7f4b"),
)  # fmt: skip
_QUADRANT_WORDS = (
    _words(("Excited", "Bersemangat", 0.6, 0.8), ("Happy", "Bahagia", 0.8, 0.45), ("Joyful", "Riang", 0.75, 0.65)),
    _words(("Tense", "Tegang", -0.4, 0.8), ("Angry", "Marah", -0.6, 0.75), ("Afraid", "Takut", -0.75, 0.55)),
    _words(("Sad", "Sedih", -0.75, -0.35), ("Gloomy", "Murung", -0.8, -0.5), ("Bored", "Bosan", -0.4, -0.75)),
    _words(("Calm", "Tenang", 0.5, -0.7), ("Relaxed", "Santai", 0.7, -0.5), ("Content", "Puas hati", 0.85, -0.3)),
)
# Russell's figure 2: the word, its Indonesian name, its angle from pleasure, in degrees.
RUSSELL_ANGLES = (
    ("Happy", "Bahagia", 7.8), ("Delighted", "Girang", 24.9), ("Excited", "Bersemangat", 48.6), ("Astonished", "Takjub", 69.8),
    ("Aroused", "Tergugah", 73.8), ("Tense", "Tegang", 92.8), ("Alarmed", "Cemas", 96.5), ("Angry", "Marah", 99.0),
    ("Afraid", "Takut", 116.0), ("Annoyed", "Jengkel", 123.0), ("Distressed", "Tertekan", 138.0), ("Frustrated", "Frustrasi", 141.0),
    ("Miserable", "Sengsara", 188.7), ("Sad", "Sedih", 207.5), ("Gloomy", "Murung", 209.0), ("Depressed", "Putus asa", 210.0),
    ("Bored", "Bosan", 242.0), ("Droopy", "Lesu", 256.7), ("Tired", "Lelah", 267.7), ("Sleepy", "Mengantuk", 271.9),
    ("Calm", "Tenang", 316.2), ("Relaxed", "Santai", 318.0), ("Satisfied", "Puas", 319.0), ("At ease", "Nyaman", 321.0),
    ("Content", "Puas hati", 323.0), ("Serene", "Damai", 328.6), ("Glad", "Gembira", 349.0), ("Pleased", "Senang", 353.2),
)  # fmt: skip


def _russell() -> Scheme:
    found: list[list[WordSpec]] = [[], [], [], []]
    for name, indonesian, angle in RUSSELL_ANGLES:
        radians = math.radians(angle)
        found[int(angle // 90)].append(WordSpec(name, indonesian, round(math.cos(radians), 3), round(math.sin(radians), 3)))
    return tuple(LabelSpec(*quadrant, tuple(words)) for quadrant, words in zip(QUADRANTS, found, strict=True))


PRESETS: dict[str, Scheme] = {
    "paper": PAPER,
    "quadrants": tuple(LabelSpec(*quadrant, words) for quadrant, words in zip(QUADRANTS, _QUADRANT_WORDS, strict=True)),
    "russell": _russell(),
    "happy-sad": (
        LabelSpec("Happy", "Bahagia", "#a85200", _words(("Happy", "Bahagia", 0.8, 0.45))),
        LabelSpec("Sad", "Sedih", "#0b5a9c", _words(("Sad", "Sedih", -0.75, -0.35))),
    ),
}


def as_table(scheme: Scheme) -> str:
    """The scheme as the table that `read_table` reads."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in scheme:
        for word in label.words:
            writer.writerow(
                [label.name, word.name, f"{word.valence:g}", f"{word.arousal:g}", label.indonesian, word.indonesian, label.colour]
            )
    return buffer.getvalue()


def read_table(text: str) -> Scheme:
    """A scheme from a CSV with the columns label and word; optional valence, arousal, label_id, word_id, colour. A word a line.

    Raises
    ------
    ValueError
        Names the line and what is wrong with it.
    """
    delimiter = max(
        ",;\t", key=text.strip().partition("\n")[0].count
    )  # as it is copied from a spreadsheet, or saved where 0,5 is a number
    rows = csv.DictReader(io.StringIO(text.strip(), newline=""), skipinitialspace=True, delimiter=delimiter)
    columns = [name.strip().lower() for name in rows.fieldnames or []]
    rows.fieldnames = columns
    if not {"label", "word"} <= set(columns):
        raise ValueError(f"The first line must name the columns label and word; it has: {', '.join(columns)[:200] or 'nothing'}.")
    labels: dict[str, tuple[str, str, str, list[WordSpec]]] = {}
    seen: dict[str, int] = {}
    translated: dict[str, int] = {}
    for row in rows:
        line, values = rows.line_num, {name: (row.get(name) or "").strip() for name in COLUMNS}
        if delimiter != ",":
            values |= {name: values[name].replace(",", ".") for name in ("valence", "arousal")}
        word = _word(line, values)
        if (twin := seen.setdefault(word.name.casefold(), line)) != line:
            raise ValueError(f"Line {line}: the word “{word.name}” stands in line {twin} already.")
        if word.indonesian and (twin := translated.setdefault(word.indonesian.casefold(), line)) != line:
            raise ValueError(f"Line {line}: “{word.indonesian}” is the Indonesian name of the word in line {twin} already.")
        key = values["label"][:50].casefold()
        if key_of(key) in RESERVED:
            raise ValueError(
                f"Line {line}: “{values['label'][:50]}” is what the studio calls a track without a label; choose another word."
            )
        if not key_of(key):
            raise ValueError(f"Line {line}: “{values['label'][:50]}” is no name of a label: it needs a letter or a digit.")
        if values["colour"] and not re.fullmatch(r"#[0-9a-fA-F]{6}", values["colour"]):
            raise ValueError(f"Line {line}: “{values['colour'][:20]}” is no colour: write it as #a85200.")
        name, indonesian, colour, words = labels.setdefault(
            key, (values["label"][:50], values["label_id"][:50], values["colour"], [])
        )
        words.append(word)
        labels[key] = (name, indonesian or values["label_id"][:50], colour or values["colour"], words)
    if not 2 <= len(labels) <= MOST_LABELS or len(seen) > MOST_WORDS:
        raise ValueError(
            f"A scheme has 2 to {MOST_LABELS} labels and at most {MOST_WORDS} words; this has {len(labels)} and {len(seen)}."
        )
    return tuple(LabelSpec(name, indonesian, colour, tuple(words)) for name, indonesian, colour, words in labels.values())


def _word(line: int, values: dict[str, str]) -> WordSpec:
    if not key_of(values["word"]):
        raise ValueError(f"Line {line}: “{values['word'][:50]}” is no word: it needs a letter or a digit.")
    place = []
    for axis in ("valence", "arousal"):
        try:
            value = float(values[axis] or 0)
        except ValueError:
            value = math.nan
        if not -1 <= value <= 1:
            raise ValueError(f"Line {line}: “{values[axis][:20]}” is no {axis}: write a number from -1 to 1.")
        place.append(value)
    return WordSpec(values["word"][:50], values["word_id"][:50], place[0], place[1])
