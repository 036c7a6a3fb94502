"""How far a label can be doubted: by models that did not learn from its track, and by the raters who gave it.

References
----------
.. [1] C. Northcutt, L. Jiang, I. Chuang. Confident Learning: Estimating Uncertainty in Dataset Labels. JAIR 70, 2021: self-confidence.
.. [2] J. Kuan, J. Mueller. Model-agnostic label quality scoring to detect real-world label errors. ICML DataPerf, 2022: several models.
"""

from collections.abc import Mapping, Sequence
from math import log


def model_quality(label: str, probabilities: Sequence[Mapping[str, float]]) -> float:
    """Mean probability that the models give the label [1]_ [2]_, float in [0, 1]; low: they doubt it.

    probabilities : a model an entry, of models that did not learn from the track.

    Raises
    ------
    ValueError
        There is no model, or one that does not know the label.
    """
    if not probabilities:
        raise ValueError("there is no model to ask")
    if any(label not in row for row in probabilities):
        raise ValueError(f"a model does not know the label {label!r}")
    return sum(row[label] for row in probabilities) / len(probabilities)


def entropy(shares: Mapping[str, float]) -> float:
    """Of probabilities or of counts, as a share of the highest possible: 0 all on one label, 1 all labels alike; nan for nothing."""
    total = sum(shares.values())
    if total <= 0:
        return float("nan")
    if len(shares) < 2:
        return 0.0
    return -sum(p * log(p) for value in shares.values() if (p := value / total) > 0) / log(len(shares))
