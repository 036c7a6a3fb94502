from rest_framework import serializers

from annotate.models import Assignment, Consensus, Questionnaire, Rating
from datasets.models import Word


class QuestionnaireSerializer(serializers.ModelSerializer[Questionnaire]):
    words = serializers.SerializerMethodField()

    class Meta:
        model = Questionnaire
        fields = ["id", "name", "question", "raters_per_track", "threshold", "is_open", "words"]

    def get_words(self, questionnaire: Questionnaire) -> list[dict[str, str]]:
        words = Word.objects.filter(label__dataset=questionnaire.dataset_id).select_related("label")
        return [{"key": word.key, "name": word.name, "label": word.label.key} for word in words]


class FreezeSerializer(serializers.Serializer[Questionnaire]):
    name = serializers.SlugField(max_length=60)
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    """A slot for the caller. It names neither the track nor anything about it: raters are blind."""

    audio = serializers.HyperlinkedIdentityField(view_name="assignment-audio")

    class Meta:
        model = Assignment
        fields = ["id", "questionnaire", "state", "expires_at", "audio"]
        read_only_fields = ["state", "expires_at"]


class NextSerializer(serializers.Serializer[Assignment]):
    questionnaire = serializers.PrimaryKeyRelatedField(queryset=Questionnaire.objects.filter(is_open=True))


class RatingSerializer(serializers.ModelSerializer[Rating]):
    word = serializers.CharField(source="word.key", read_only=True, default=None)
    label = serializers.CharField(source="label.key", read_only=True, default=None)  # type: ignore[assignment]

    class Meta:
        model = Rating
        fields = ["id", "questionnaire", "word", "label", "valence", "arousal", "rated_at"]


class NewRatingSerializer(serializers.Serializer[Rating]):
    assignment = serializers.IntegerField(min_value=1)
    word = serializers.CharField(max_length=30)
    valence = serializers.FloatField(min_value=-1, max_value=1, required=False, allow_null=True)
    arousal = serializers.FloatField(min_value=-1, max_value=1, required=False, allow_null=True)


class ConsensusSerializer(serializers.ModelSerializer[Consensus]):
    label = serializers.CharField(source="label.key", read_only=True, default=None)  # type: ignore[assignment]

    class Meta:
        model = Consensus
        fields = ["track", "questionnaire", "state", "n_ratings", "votes", "agreement", "label", "updated_at"]
