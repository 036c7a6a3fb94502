from django.db import migrations, models
from django.db.models import F


def number_them(apps, schema_editor):
    for name in ("ReleaseItem", "ReleaseRating"):
        apps.get_model("datasets", name).objects.update(number=F("track_id"))


class Migration(migrations.Migration):
    dependencies = [("datasets", "0010_recordings_of_live_streams")]

    operations = [
        migrations.AddField(
            "releaseitem",
            "number",
            models.BigIntegerField(default=0, help_text="Of the track, in the studio that froze the release."),
            preserve_default=False,
        ),
        migrations.AddField(
            "releaserating",
            "number",
            models.BigIntegerField(default=0, help_text="Of the track, in the studio that froze the release."),
            preserve_default=False,
        ),
        migrations.RunPython(number_them, migrations.RunPython.noop),
    ]
