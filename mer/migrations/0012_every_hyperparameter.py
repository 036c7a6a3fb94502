from django.db import migrations

LATER = {"vote_shares": False, "mixup": 0.0, "depth": None, "width": None, "precision": "auto", "draw": 1}


def fill_in(apps, schema_editor):
    """What was not stored while it had its first default."""
    Run = apps.get_model("mer", "Run")
    for run in Run.objects.all().iterator():
        Run.objects.filter(pk=run.pk).update(params=LATER | run.params)


class Migration(migrations.Migration):

    dependencies = [
        ("mer", "0011_network_names"),
    ]

    operations = [migrations.RunPython(fill_in, migrations.RunPython.noop)]
