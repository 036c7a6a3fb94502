import numpy as np
from django.db import migrations, models

N_BINS, DRAWS, FEWEST_GROUPS = 10, 2000, 10


def interval_of(P, hits, groups):
    """As `mer.methods.metrics` reckons it on 2026-11-28: the basic bootstrap interval over groups, not below 0."""
    _names, group = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group.max()) + 1
    if n_groups < FEWEST_GROUPS:
        return None, None
    confidence = P.max(axis=1)
    place = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    sums = np.zeros((n_groups, N_BINS, 3))
    np.add.at(sums, (group, place), np.stack([np.ones(len(P)), confidence, hits], axis=1))
    draws = np.random.default_rng(1).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=DRAWS)

    def error(x):
        return np.abs(x[..., 1] - x[..., 2]).sum(axis=1) / x[..., 0].sum(axis=1)

    value = float(error(sums.sum(axis=0)[None])[0])
    found = error(np.tensordot(draws.astype(float), sums, axes=1))
    if np.ptp(found) == 0:
        return None, None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(max(0.0, 2 * value - high)), float(max(value, 2 * value - low))


def from_predictions(apps, schema_editor):
    """The calibration error's interval as it is reckoned today, so that no page has two of one run."""
    Evaluation, Prediction = apps.get_model("mer", "Evaluation"), apps.get_model("mer", "Prediction")
    ReleaseItem = apps.get_model("datasets", "ReleaseItem")
    for row in Evaluation.objects.filter(figures__has_key="ece").select_related("run").iterator():
        groups = {}
        for track, kept, artist in ReleaseItem.objects.filter(release=row.run.release_id).values_list("track_id", "kept_with", "artist"):
            name = artist.strip().casefold()
            groups[track] = kept or (f"artist:{name}" if name else f"track:{track}")
        said = Prediction.objects.filter(run=row.run_id, part=row.part, track__in=groups)
        said = list(said.values_list("track_id", "truth", "predicted", "probabilities"))
        if not said:
            continue
        P = np.array([list(shares.values()) for *_rest, shares in said])
        hits = np.array([truth == predicted for _track, truth, predicted, _shares in said], float)
        low, high = interval_of(P, hits, [groups[track] for track, *_rest in said])
        row.figures["ece"] |= {"low": low, "high": high}
        Evaluation.objects.filter(pk=row.pk).update(figures=row.figures)


class Migration(migrations.Migration):
    dependencies = [("mer", "0016_what_a_run_could_not_hear")]

    operations = [
        migrations.AlterField(
            model_name="evaluation",
            name="majority",
            field=models.FloatField(help_text="Accuracy of always answering the most frequent label of what was learned from."),
        ),
        migrations.RunPython(from_predictions, migrations.RunPython.noop),
    ]
