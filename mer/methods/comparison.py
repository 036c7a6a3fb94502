"""Can the data tell two models apart? Paired tests on the same tracks, with the verdict in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import comb, isnan

import numpy as np

from datasets.methods.messages import N_, Sentence, in_words
from mer.methods import metrics
from mer.methods.metrics import Interval


@dataclass(frozen=True)
class Verdict:
    """only_first, only_second : tracks that just one of the two gets right. p : two-sided, exact, in (0, 1]. p_adjusted : for the number of
    comparisons that were made together. accuracy, macro_f1 : the
    differences, first less second, by a bootstrap over groups. p_resampled : of the corrected resampled t over the folds, where both were tested
    in folds."""

    n: int
    only_first: int
    only_second: int
    p: float
    names: tuple[str, str] = ("", "")
    said: tuple[Sentence, ...] = ()
    p_adjusted: float | None = None
    accuracy: Interval | None = None
    macro_f1: Interval | None = None
    p_resampled: float | None = None
    is_adjusted: bool = False  # p_resampled, too, for the number of comparisons
    n_rounds: int = 0
    n_draws: int = 0
    n_groups: int | None = None

    @property
    def tells_apart(self) -> bool:
        """Whether one is said to be better."""
        return (self.p if self.p_adjusted is None else self.p_adjusted) < 0.05 and _is_apart(self)

    @property
    def words(self) -> str:
        """In English; pages say it in the language of their reader."""
        return in_words(self.said)


def mcnemar(first: Sequence[bool], second: Sequence[bool], names: tuple[str, str]) -> Verdict:
    """Exact McNemar test (Q. McNemar, Psychometrika 12, 1947) on which of two models is right, track by track.

    Raises
    ------
    ValueError
        The two were not tested on the same number of tracks.
    """
    if len(first) != len(second):
        raise ValueError("the two models must be tested on the same tracks")
    n = len(first)
    b = sum(bool(one) and not two for one, two in zip(first, second, strict=True))
    c = sum(bool(two) and not one for one, two in zip(first, second, strict=True))
    discordant = b + c
    p = min(1.0, 2 * sum(comb(discordant, k) for k in range(min(b, c) + 1)) / 2**discordant)
    verdict = Verdict(n, b, c, p, names)
    return replace(verdict, said=(_sentence(verdict, p),))


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.{3 if p < 0.1 else 2}f}"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]  # neither plus nor minus nothing


EXACT: Sentence = (N_("exact McNemar"), {})


def _sentence(verdict: Verdict, p: float, test: Sentence = EXACT) -> Sentence:
    one, other = verdict.names
    values = {"one": one, "other": other, "n": verdict.n, "test": test, "p": _p(p)}
    if not verdict.n:
        return N_("%(one)s and %(other)s have no test track in common: nothing can be said of the two."), values
    interval, apart = verdict.accuracy, _is_apart(verdict)
    if p < 0.05 and apart:
        better, worse = (one, other) if verdict.only_first > verdict.only_second else (other, one)
        return N_("%(better)s is better than %(worse)s on these %(n)s tracks (%(test)s %(p)s)."), values | {
            "better": better,
            "worse": worse,
        }
    if p < 0.05 and verdict.n_groups == 1:
        return N_(
            "%(n)s tracks can’t tell %(one)s and %(other)s apart: track by track they differ (%(test)s %(p)s), but all of them are of one artist."
        ), values
    if p < 0.05:
        return N_(
            "%(n)s tracks can’t tell %(one)s and %(other)s apart: track by track they differ (%(test)s %(p)s), but that may be a few artists alone, for the interval over artists holds zero."
        ), values
    if interval is not None and apart:
        better, worse = (one, other) if interval.value > 0 else (other, one)
        return N_(
            "%(n)s tracks hint that %(better)s is better than %(worse)s, no more: the interval over artists leaves out zero, but %(test)s %(p)s."
        ), values | {"better": better, "worse": worse}
    if verdict.n == 1:
        return N_("One track can’t tell %(one)s and %(other)s apart (%(test)s %(p)s)."), values
    return N_("%(n)s tracks can’t tell %(one)s and %(other)s apart (%(test)s %(p)s)."), values


def _is_apart(verdict: Verdict) -> bool:
    """Tracks of one artist are not independent, as McNemar's test takes them to be: the interval over artists has to say the same."""
    interval = verdict.accuracy
    if interval is None:
        return True
    if isnan(interval.low):
        return verdict.n_groups != 1 and interval.value != 0  # every artist says the same
    return interval.low > 0 or interval.high < 0


def together(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts with p values adjusted for their number, where there are several: of twenty comparisons of equals one would seem to differ."""
    if len(verdicts) < 2:
        return list(verdicts)
    resampled = iter(holm([verdict.p_resampled for verdict in verdicts if verdict.p_resampled is not None]))
    verdicts = [
        verdict if verdict.p_resampled is None else replace(verdict, p_resampled=next(resampled), is_adjusted=True)
        for verdict in verdicts
    ]
    return [
        replace(
            verdict,
            p_adjusted=p,
            said=(
                _sentence(verdict, p, (N_("exact McNemar, adjusted for %(n)s comparisons (Holm),"), {"n": len(verdicts)})),
                *_differences(verdict),
            ),
        )
        for verdict, p in zip(verdicts, holm([verdict.p for verdict in verdicts]), strict=True)
    ]


def with_differences(
    verdict: Verdict, truth: Sequence[int], first: Sequence[int], second: Sequence[int], groups: Sequence[str], *, n_labels: int,
    draws: Sequence[Sequence[Sequence[int]]] = (), validates: bool = True,
) -> Verdict:  # fmt: skip
    """The verdict with the differences in accuracy and macro-F1 and their intervals, said in words.

    draws : for each drawing of the folds, for each fold, right less right of the two on each track; empty where there are no folds.
    validates : one of the other folds is not learned from, but chooses the epoch, for one of the two at least.
    """
    accuracy, macro_f1 = paired_bootstrap(truth, first, second, groups, n_labels=n_labels)
    p = None
    rounds = [fold for draw in draws for fold in draw]
    if rounds:
        n_test = len(truth) * len(draws) / len(rounds)
        n_train = len(truth) - (2 if validates else 1) * n_test
        p = corrected_resampled_t([float(np.mean(fold)) for fold in rounds], n_train=n_train, n_test=n_test)
    verdict = replace(
        verdict, accuracy=accuracy, macro_f1=macro_f1, p_resampled=p, n_rounds=len(rounds), n_draws=len(draws), n_groups=len(set(groups))
    )  # fmt: skip
    return replace(verdict, said=(_sentence(verdict, verdict.p), *_differences(verdict)))


def _differences(verdict: Verdict) -> Iterator[Sentence]:
    accuracy, macro_f1 = verdict.accuracy, verdict.macro_f1
    if accuracy is None or macro_f1 is None:
        return
    points, low, high = (_signed(100 * value, 1) for value in (accuracy.value, accuracy.low, accuracy.high))
    f1, f1_low, f1_high = (_signed(value, 3) for value in (macro_f1.value, macro_f1.low, macro_f1.high))
    values = {"points": points, "low": low, "high": high, "f1": f1, "f1_low": f1_low, "f1_high": f1_high}
    if np.isnan(accuracy.low) or np.isnan(macro_f1.low):
        yield (
            N_(
                "Accuracy differs by %(points)s points, macro-F1 by %(f1)s; no interval, for no draw of artists differs from another."
            ),
            values,
        )
    else:
        yield (
            N_("Accuracy differs by %(points)s points (95%% %(low)s to %(high)s), macro-F1 by %(f1)s (%(f1_low)s to %(f1_high)s)."),
            values,
        )
        if verdict.n_groups is not None and verdict.n_groups < metrics.FEW_GROUPS:
            yield N_("With %(n)s artists only, these intervals are too narrow."), {"n": verdict.n_groups}
    if verdict.p_resampled is not None:
        over = {"p": _p(verdict.p_resampled), "rounds": verdict.n_rounds, "draws": verdict.n_draws}
        if verdict.is_adjusted and verdict.n_draws > 1:
            yield (
                N_("Corrected resampled t over %(rounds)s rounds (%(draws)s drawings of the folds), adjusted likewise: %(p)s."),
                over,
            )
        elif verdict.is_adjusted:
            yield N_("Corrected resampled t over the folds, adjusted likewise: %(p)s."), over
        elif verdict.n_draws > 1:
            yield N_("Corrected resampled t over %(rounds)s rounds (%(draws)s drawings of the folds): %(p)s."), over
        else:
            yield N_("Corrected resampled t over the folds: %(p)s."), over


def paired_bootstrap(
    truth: Sequence[int], first: Sequence[int], second: Sequence[int], groups: Sequence[str], *, n_labels: int, seed: int = 1
) -> tuple[Interval, Interval]:
    """Differences in accuracy and macro-F1, first less second, with percentile intervals from draws of whole groups.

    Tracks of one artist are not independent: a group is drawn with all its tracks, for both models at once (B. Efron, R. Tibshirani.
    An Introduction to the Bootstrap, 1993, ch. 8).

    Parameters
    ----------
    truth, first, second : class indices [same length n > 0]. groups : the group of each track [length n].

    The intervals are NaN where no draw differs from another: of one group, or of two models that say the same in every group but all.
    """
    group, weights = metrics.group_draws(groups, seed=seed)
    tables = [metrics.group_tables(truth, predicted, group, weights.shape[1], n_labels) for predicted in (first, second)]
    found = []
    wholes = [table.sum(axis=0) for table in tables]
    drawn = [np.tensordot(weights, table, axes=1) for table in tables]
    for measure in (lambda tables, _whole: metrics.accuracies(tables), metrics.macro_f1s):
        values = [measure(whole[None], whole) for whole in wholes]
        draws = [measure(many, whole) for many, whole in zip(drawn, wholes, strict=True)]
        low, high = metrics.percentiles(draws[0] - draws[1])
        found.append(Interval(float(values[0][0] - values[1][0]), float(low), float(high)))
    return found[0], found[1]


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted for their number (S. Holm, Scand. J. Statistics 6, 1979), in the order given, each in (0, 1]."""
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = highest
    return adjusted


def corrected_resampled_t(differences: Sequence[float], *, n_train: float, n_test: float) -> float | None:
    """p of the mean difference of two models over rounds whose training parts overlap, two-sided, in (0, 1]; None where there is no spread.

    A plain t test takes the rounds for independent and finds differences too often; the correction adds n_test / n_train to 1 / n
    (C. Nadeau, Y. Bengio. Inference for the Generalization Error. Machine Learning 52, 2003).

    Parameters
    ----------
    differences : accuracy of the first less that of the second, a round an entry. n_train, n_test : tracks of a round, on average.

    Raises
    ------
    ValueError
        Fewer than two rounds, or nothing was trained on.
    """
    from scipy.stats import t as student

    if len(differences) < 2 or n_train <= 0:
        raise ValueError("at least two rounds that learned from something are needed")
    spread = float(np.var(differences, ddof=1))
    if spread < 1e-18:  # rounding
        return None
    statistic = float(np.mean(differences)) / np.sqrt((1 / len(differences) + n_test / n_train) * spread)
    return float(2 * student.sf(abs(statistic), len(differences) - 1))
