from django.db import migrations
from django.db.models import OuterRef, Subquery


def note(apps, schema_editor):
    """Tracks that were settled before lists could show it."""
    Track, Consensus = apps.get_model("datasets", "Track"), apps.get_model("annotate", "Consensus")
    settled = Consensus.objects.filter(track=OuterRef("pk"), state__in=["agreed", "split"])
    tracks = Track.objects.filter(pk__in=Consensus.objects.filter(state__in=["agreed", "split"]).values("track"))
    tracks.update(agreement=Subquery(settled.values("agreement")[:1]))
    agreed = Consensus.objects.filter(track=OuterRef("pk"), state="agreed")
    tracks = Track.objects.filter(pk__in=Consensus.objects.filter(state="agreed").values("track"))
    tracks.update(label=Subquery(agreed.values("label__key")[:1]))


class Migration(migrations.Migration):
    dependencies = [("annotate", "0002_the_raters_way"), ("datasets", "0005_duplicates_uploads_and_links")]
    operations = [migrations.RunPython(note, migrations.RunPython.noop)]
