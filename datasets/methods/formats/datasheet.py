"""A datasheet [1]_ in Markdown, written from the data.

References
----------
.. [1] T. Gebru et al. Datasheets for Datasets. Communications of the ACM 64(12), 2021.
"""

from collections import Counter
from collections.abc import Sequence

from datasets.methods.formats import About


def markdown(about: About) -> str:
    reliability = about.reliability
    reasons = Counter(str(row["reason"]).partition(":")[0] for row in about.left_out)
    clues = [
        (str(row["name"]), f"{row['accuracy']:.0%}", f"{row['by_chance']:.0%}", f"{row['p']:.3f}")
        for row in about.leakage.get("clues", [])
    ]
    parts = [
        f"# Datasheet of {about.name}",
        "Synthetic: composed by a generator, rated by simulated raters. For trying things out, not for findings.\n"
        if about.synthetic
        else "",
        "## Motivation",
        about.description or "Music labelled by emotion, for music emotion recognition.",
        f"Authors: {'; '.join(about.authors) or 'not stated'}. Licence of the labels: {about.licence or 'not stated'}.",
        "## Composition",
        f"{about.n_tracks:,} tracks by {about.n_artists:,} artists (as far as named), with {about.n_ratings:,} ratings of {about.n_raters:,} raters.",
        _table(["label", "tracks"], list(about.label_counts.items())),
        f"The recordings of {about.n_recordings:,} tracks may be passed on; the others are named by address and checksum (refetch.py).",
        "## Collection",
        collected(about),
        "## Labelling",
        f"{about.rule}.",
        _said(reliability),
        _table(["step", "tracks left"], [(str(step.get("name")), step.get("n")) for step in about.funnel]),
        "Left out, by reason (left_out.csv names each track):" if reasons else "Nothing was left out.",
        _table(["reason", "tracks"], reasons.most_common()) if reasons else "",
        "## Split",
        _drawn(about),
        _table(["part", "tracks"], list(about.part_counts.items())),
        *(f"Beside it {name}, of {min(sizes)} to {max(sizes)} tracks." for name, sizes in about.folds.items()),
        "How well a clue beside the sound alone names the label of a track it has not seen:" if clues else "",
        _table(["clue", "right", "by chance", "p"], clues) if clues else "",
        "## Uses",
        "Say with every accuracy how many tracks it is over, its interval, and what the most frequent label alone reaches.",
        "Emotion here is what these raters perceived; it is not what the composer meant nor what a listener feels.",
        "## Upkeep",
        f"Frozen on {about.frozen_on}, content hash {about.content_hash}. A release is never edited: corrections are a new one.",
        "Errata:" if about.errata else "No erratum is known.",
        _table(["on", "what was found to be wrong"], [(row["at"][:10], _cell(row["text"])) for row in about.errata])
        if about.errata
        else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def collected(about: About) -> str:
    """How the ratings came about, as far as the studio knows."""
    here = "Raters heard the recordings in a browser, blind to each other, and chose one word, or said why they could not."
    if not about.n_elsewhere:
        return here
    brought = "were collected elsewhere and brought in as a table; how is not recorded."
    if about.n_elsewhere == about.n_ratings:
        return f"All ratings {brought}"
    return f"{about.n_elsewhere:,} of {about.n_ratings:,} ratings {brought} For the others: {here[0].lower()}{here[1:]}"


def _drawn(about: About) -> str:
    n_torn, n_moved = len(about.leakage.get("groups_in_two_parts", [])), len(about.leakage.get("moved", []))
    torn = f" {n_torn} artists or recordings stand in two parts." if n_torn else ""
    n_folds = len(about.leakage.get("groups_in_two_folds", []))
    torn += f" {n_folds} artists or recordings stand in two folds." if n_folds else ""
    torn += f" {n_moved} tracks stood in another part of an earlier release." if n_moved else ""
    if about.split == "from a file":
        return f"Fixed by a file.{torn}"
    return (
        f"Drawn with seed {about.seed}; stratified by label, all tracks of an artist and copies of one recording in one part.{torn}"
    )


def _said(reliability: dict[str, object]) -> str:
    alpha, low, high = (reliability.get(name) for name in ("alpha", "alpha_low", "alpha_high"))
    by_chance = reliability.get("chance_acceptance")
    said = "Krippendorff's alpha is not defined here."
    if isinstance(alpha, float):
        said = f"Krippendorff's alpha is {alpha:.3f}"
        said += f" (95% interval {low:.3f} to {high:.3f})." if isinstance(low, float) and isinstance(high, float) else "."
    return (
        f"{said} If everybody guessed, the rule would accept {by_chance:.0%} of the tracks."
        if isinstance(by_chance, float)
        else said
    )


def _table(head: list[str], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {_cell(str(name))} | {' | '.join(map(str, others))} |" for name, *others in rows)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
