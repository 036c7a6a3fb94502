from rest_framework import serializers

from datasets import selectors
from datasets.models import Dataset, Erratum, Export, Fault, Job, Release, Track
from datasets.services.tokens import signed_audio_url


class TrackSerializer(serializers.ModelSerializer[Track]):
    dataset = serializers.CharField(source="dataset.name", read_only=True, default=None)
    audio = serializers.SerializerMethodField(help_text="Its recording, under an address that works for an hour without a login.")

    class Meta:
        model = Track
        fields = [
            "id", "dataset", "audio", "title", "artist", "licence", "source", "source_url", "external_id", "sha256", "duration_s", "state", "reason",
            "created_at",
        ]  # fmt: skip

    def get_audio(self, track: Track) -> str:
        return signed_audio_url(track) if track.state == Track.State.READY else ""


class AddTrackSerializer(serializers.Serializer[Track]):
    """One file or one YouTube address."""

    dataset = serializers.SlugRelatedField(slug_field="name", queryset=Dataset.objects.all(), required=False)
    file = serializers.FileField(required=False, allow_empty_file=True, max_length=200)
    address = serializers.CharField(required=False, max_length=300)
    title = serializers.CharField(required=False, max_length=300, default="")
    artist = serializers.CharField(required=False, max_length=300, default="")
    licence = serializers.CharField(required=False, max_length=100, default="")
    external_id = serializers.CharField(required=False, max_length=100, default="")

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if ("file" in attrs) == ("address" in attrs):
            raise serializers.ValidationError("Send either a file or the address of one YouTube video.")
        return attrs


class JobSerializer(serializers.ModelSerializer[Job]):
    class Meta:
        model = Job
        fields = ["id", "title", "state", "progress", "detail", "eta_s", "reason"]


class ReleaseSerializer(serializers.ModelSerializer[Release]):
    dataset = serializers.CharField(source="dataset.name", read_only=True, default=None)
    n_items = serializers.IntegerField(read_only=True)
    splits = serializers.SerializerMethodField(help_text="{name: {part: tracks}}")

    def get_splits(self, release: Release) -> dict[str, dict[str, int]]:
        return selectors.splits_of(release)

    class Meta:
        model = Release
        fields = [
            "name", "dataset", "description", "licence", "authors", "rule", "n_items", "splits", "funnel", "left_out", "reliability", "leakage",
            "content_hash", "frozen_at",
        ]  # fmt: skip


class ExportSerializer(serializers.ModelSerializer[Export]):
    job = JobSerializer(read_only=True)
    format = serializers.ChoiceField(choices=Export.Format.choices, default=Export.Format.CSV)

    class Meta:
        model = Export
        fields = ["id", "format", "size", "sha256", "job"]
        read_only_fields = ["size", "sha256"]


class FaultSerializer(serializers.ModelSerializer[Fault]):
    release = serializers.CharField(source="item.release.name", read_only=True)
    track_id = serializers.IntegerField(source="item.number", min_value=1, max_value=2**62)

    class Meta:
        model = Fault
        fields = ["id", "release", "track_id", "text", "state", "answer", "at"]
        read_only_fields = ["state", "answer", "at"]

    def to_internal_value(self, data: dict[str, object]) -> dict[str, object]:
        value: dict[str, object] = super().to_internal_value(data)
        return {"track_id": value["item"]["number"], "text": value["text"]}  # type: ignore[index]


class FaultAnswerSerializer(serializers.Serializer[Fault]):
    accepted = serializers.BooleanField()
    answer = serializers.CharField(required=False, allow_blank=True, max_length=1000, default="")


class ErratumSerializer(serializers.ModelSerializer[Erratum]):
    text = serializers.CharField(max_length=2000)

    class Meta:
        model = Erratum
        fields = ["id", "text", "at"]
