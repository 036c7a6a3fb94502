from django.db import migrations, models


def from_figures(apps, schema_editor):
    """Accuracies are shown with the interval over groups, which runs with figures already have beside Wilson's."""
    Evaluation = apps.get_model("mer", "Evaluation")
    for row in Evaluation.objects.exclude(figures={}).iterator():
        interval = row.figures.get("accuracy") or {}
        if interval.get("low") is not None and interval["low"] < interval["high"]:
            Evaluation.objects.filter(pk=row.pk).update(low=interval["low"], high=interval["high"])


class Migration(migrations.Migration):

    dependencies = [
        ("mer", "0009_folds_anywhere"),
    ]

    operations = [
        migrations.AlterField(
            model_name="evaluation",
            name="low",
            field=models.FloatField(help_text="95% interval from draws of whole groups."),
        ),
        migrations.RunPython(from_figures, migrations.RunPython.noop),
    ]
