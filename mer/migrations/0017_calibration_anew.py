from math import isnan

import numpy as np
from django.db import migrations

from mer.methods.metrics import figures


def from_predictions(apps, schema_editor):
    """The calibration error's interval as it is reckoned today, so that no page has two of one run."""
    Evaluation, Prediction = apps.get_model("mer", "Evaluation"), apps.get_model("mer", "Prediction")
    ReleaseItem = apps.get_model("datasets", "ReleaseItem")
    for row in Evaluation.objects.filter(figures__has_key="ece").select_related("run__release").iterator():
        labels = list(row.run.release.labels)
        items = ReleaseItem.objects.filter(release=row.run.release_id).values_list("track_id", "kept_with", "artist")
        artist = {track: name.strip().casefold() for track, _kept, name in items}
        groups = {track: kept or (f"artist:{artist[track]}" if artist[track] else f"track:{track}") for track, kept, _name in items}
        said = Prediction.objects.filter(run=row.run_id, part=row.part).values_list("track_id", "truth", "probabilities")
        said = [(groups[track], labels.index(truth), [shares[label] for label in labels]) for track, truth, shares in said if track in groups]
        if not said:
            continue
        group, truth, probabilities = zip(*said, strict=True)
        found = figures(probabilities, truth, np.eye(len(labels))[list(truth)], group, random=0).ece
        row.figures["ece"] = {"value": found.value, "low": None if isnan(found.low) else found.low, "high": None if isnan(found.high) else found.high}
        Evaluation.objects.filter(pk=row.pk).update(figures=row.figures)


class Migration(migrations.Migration):
    dependencies = [("mer", "0016_what_a_run_could_not_hear")]

    operations = [migrations.RunPython(from_predictions, migrations.RunPython.noop)]
