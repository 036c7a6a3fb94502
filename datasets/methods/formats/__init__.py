"""What a release says, as plain values, and the formats that it is exported in: one file a format.

Every bundle also holds a README, a datasheet and a script that fetches again what may not be passed on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

Row = Mapping[str, object]
Kind = type[str] | type[int] | type[float] | type[bool] | type[datetime]


@dataclass(frozen=True)
class Table:
    """rows : called for, as often as needed, and read in pieces; columns : {name: (type, what it means)}."""

    name: str
    columns: Mapping[str, tuple[Kind, str]]
    rows: Callable[[], Iterator[Row]]


@dataclass(frozen=True)
class Recording:
    """An original that may be passed on."""

    track_id: int
    suffix: str
    open: Callable[[], IO[bytes]]

    @property
    def name(self) -> str:
        return f"{self.track_id}.{self.suffix}"


@dataclass(frozen=True)
class About:
    """What the words of a bundle are written from."""

    name: str
    dataset: str
    description: str
    synthetic: bool
    rule: str
    labels: list[str]
    licence: str
    authors: list[str]
    frozen_on: str  # YYYY-MM-DD
    content_hash: str
    seed: int | None
    split: str
    leakage: dict[str, Any]  # see `services.releases`
    errata: list[dict[str, str]]  # {text, at}
    funnel: list[dict[str, object]]
    reliability: dict[str, object]
    left_out: list[dict[str, object]]
    n_tracks: int
    n_ratings: int
    n_elsewhere: int | None  # of them, those that were collected elsewhere and brought in as a table; None: not known
    n_raters: int
    n_artists: int
    n_recordings: int
    label_counts: dict[str, int]
    part_counts: dict[str, int]
    folds: dict[str, list[int]]  # sizes of the folds by the name of their split


@dataclass(frozen=True)
class Contents:
    """tracks, ratings and splits are tables of one row a track, a rating, and a track in a split; ordered by track.

    record : what the tables do not say, for another studio.
    """

    about: About
    tracks: Table
    ratings: Table
    splits: Table
    recordings: Callable[[], Iterator[Recording]]
    record: Mapping[str, object]

    @property
    def tables(self) -> tuple[Table, Table, Table]:
        return self.tracks, self.ratings, self.splits


README = """# {name}

A frozen release of the dataset “{dataset}”{synthetic}.

Rule: {rule}
Content hash: {hash}
Format: {format}

- tracks: one row a track, with its label, agreement, votes, vote shares (soft labels) and part (train, validation, test)
- ratings: one row a rating, raters under pseudonyms
- splits: the part of every track in every split (hold-out and folds)
- left_out.csv: every track that is not in the release, with the reason
- errata.csv: what was found to be wrong since; the release itself is never changed
- audio/: the original files, named by track id (only tracks whose licence lets them be passed on)
- spectrograms/: mel spectrograms as 8-bit grey PNG
- datasheet.md: where the data comes from, how it was labelled, what it is for
- refetch.py: fetches recordings that may not be passed on from where they came

Which of these a bundle holds depends on its format. In CSV files a cell that a spreadsheet would run as a formula begins with an
apostrophe; JSON lines and Parquet are verbatim.

Check the files: sha256sum -c SHA256SUMS
"""


def readme(contents: Contents, format: str) -> str:
    about = contents.about
    synthetic = " (synthetic: composed by a generator, rated by simulated raters)" if about.synthetic else ""
    return README.format(
        name=about.name, dataset=about.dataset, synthetic=synthetic, rule=about.rule, hash=about.content_hash, format=format
    )
