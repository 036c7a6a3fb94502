from django.db import migrations


def play_none(apps, schema_editor):
    """Until now an original was played when its tags looked harmless; what ffmpeg does not speak of may name the piece."""
    apps.get_model("datasets", "AudioFile").objects.filter(kind="original", plays=True).update(plays=False)


class Migration(migrations.Migration):
    dependencies = [("datasets", "0012_releases_of_other_studios")]

    operations = [migrations.RunPython(play_none, migrations.RunPython.noop)]
