"""The whole report on 450,000 ratings beside crowd-kit and statsmodels on the same table: `python -m benchmarks.agreement`.

Both sides: alpha, Fleiss' kappa, agreement and entropy of each track, Dawid-Skene, and an interval of alpha and kappa from a bootstrap
over tracks. Ours draws 1,000 times; theirs draws `THEIR_DRAWS` times, and the figure says what that costs for as many as ours, so that
nobody has to wait an hour. Peak memory is that of each side's own process.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
N_TRACKS, N_RATERS, PER_TRACK, K = 90_000, 500, 5, 3
DRAWS, THEIR_DRAWS = 1000, 3
ITERATIONS = 50  # of expectation-maximisation, on both sides


def ratings() -> tuple[Any, Any, Any]:
    """Raters of different skill; tracks whose emotion is not always clear."""
    rng = np.random.default_rng(7)
    true = rng.choice(K, N_TRACKS, p=[0.43, 0.32, 0.25])
    tracks = np.repeat(np.arange(N_TRACKS), PER_TRACK)
    raters = (rng.integers(0, N_RATERS, N_TRACKS)[:, None] + np.arange(PER_TRACK) * 97).ravel() % N_RATERS
    right = rng.random(tracks.size) < rng.uniform(0.35, 0.85, N_RATERS)[raters]
    labels = np.where(right, true[tracks], (true[tracks] + rng.integers(1, K, tracks.size)) % K)
    return tracks, raters, labels


def ours() -> dict[str, float]:
    from annotate.methods import agreement, reliability, truth

    tracks, raters, labels = ratings()
    began = time.perf_counter()
    counts = np.bincount(tracks * K + labels, minlength=N_TRACKS * K).reshape(N_TRACKS, K)
    alpha, kappa = reliability.krippendorff_alpha(counts), reliability.fleiss_kappa(counts)
    reliability.alpha_interval(counts, seed=1, draws=DRAWS)
    reliability.kappa_interval(counts, seed=1, draws=DRAWS)
    agreement.agreement(counts)
    agreement.entropy(counts)
    fit = truth.dawid_skene(tracks, raters, labels, n_labels=K, max_iterations=ITERATIONS, tolerance=1e-12)
    return {"s": time.perf_counter() - began, "alpha": alpha, "kappa": kappa, "expected": fit.expected_accuracy}


def theirs() -> dict[str, float]:
    import pandas as pd
    from crowdkit.aggregation import DawidSkene
    from crowdkit.metrics.data import alpha_krippendorff, uncertainty
    from statsmodels.stats.inter_rater import fleiss_kappa

    tracks, raters, labels = ratings()
    table = pd.DataFrame({"task": tracks, "worker": raters, "label": labels})
    began = time.perf_counter()
    alpha = alpha_krippendorff(table)
    counts = table.groupby(["task", "label"]).size().unstack(fill_value=0)
    kappa = fleiss_kappa(counts.to_numpy())
    shares = counts.div(counts.sum(axis=1), axis=0)
    shares.max(axis=1)
    uncertainty(table, aggregate=False)
    DawidSkene(n_iter=ITERATIONS, tol=0).fit_predict(table)
    once = time.perf_counter() - began
    rng = np.random.default_rng(1)
    groups = np.arange(tracks.size).reshape(N_TRACKS, PER_TRACK)
    began = time.perf_counter()
    for _ in range(THEIR_DRAWS):
        chosen = rng.integers(0, N_TRACKS, N_TRACKS)
        drawn = table.iloc[groups[chosen].ravel()].assign(task=np.repeat(np.arange(N_TRACKS), PER_TRACK))
        alpha_krippendorff(drawn)
        fleiss_kappa(counts.to_numpy()[chosen])
    return {"s": once, "s_draw": (time.perf_counter() - began) / THEIR_DRAWS, "alpha": alpha, "kappa": kappa}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "theirs"], help="used by itself")
    if side := parser.parse_args().side:
        result = ours() if side == "ours" else theirs()
        print(json.dumps(result | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    found = {}
    for name in ("ours", "theirs"):
        command = [sys.executable, "-m", "benchmarks.agreement", "--side", name]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    mine, other = found["ours"], found["theirs"]
    print(f"{N_TRACKS * PER_TRACK:,} ratings of {N_TRACKS:,} tracks: alpha {mine['alpha']:.4f} and {other['alpha']:.4f}, "
          f"kappa {mine['kappa']:.4f} and {other['kappa']:.4f}")  # fmt: skip
    print(f"  ours, with {DRAWS} draws: {mine['s']:.2f} s, {mine['mb']:.0f} MB")
    print(
        f"  crowd-kit and statsmodels: {other['s']:.1f} s without bootstrap, {other['s_draw']:.1f} s a draw, {other['mb']:.0f} MB"
    )
    whole = other["s"] + DRAWS * other["s_draw"]
    print(
        f"  {other['s'] / mine['s']:.1f} times as fast as theirs without any bootstrap; {whole / mine['s']:.0f} times with {DRAWS} draws"
    )


if __name__ == "__main__":
    main()
