from dataclasses import replace
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from annotate.models import STEPS, Assignment, Consensus, Invite, Questionnaire, Rater, Rating, Review
from annotate.selectors import Quality
from annotate.services.raters import invite_token
from datasets.models import Release, Word
from datasets.services import releases


class QuestionnaireSerializer(serializers.ModelSerializer[Questionnaire]):
    words = serializers.SerializerMethodField()
    question = serializers.SerializerMethodField()

    class Meta:
        model = Questionnaire
        fields = ["id", "name", "question", "minimum_s", "raters_per_track", "threshold", "is_open", "words"]

    def get_question(self, questionnaire: Questionnaire) -> str:
        return questionnaire.text("question")

    def get_words(self, questionnaire: Questionnaire) -> list[dict[str, str]]:
        words = Word.objects.filter(label__dataset=questionnaire.dataset_id).select_related("label")
        return [{"key": word.key, "name": str(word), "label": word.label.key} for word in words]


class FreezeSerializer(serializers.Serializer[Questionnaire]):
    name = serializers.SlugField(max_length=60)
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=0)
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    licence = serializers.CharField(required=False, allow_blank=True, max_length=100)
    authors = serializers.ListField(child=serializers.CharField(max_length=200), required=False, max_length=200)
    parts = serializers.DictField(
        child=serializers.ChoiceField(["train", "validation", "test"]), required=False, help_text="A fixed split: {track id: part}."
    )
    n_folds = serializers.IntegerField(min_value=releases.FEWEST_FOLDS, max_value=releases.MOST_FOLDS, required=False)
    without_incomplete = serializers.BooleanField(required=False, help_text="Leave out tracks whose spectrogram could not be made.")
    without_unlicensed = serializers.BooleanField(
        required=False, help_text="Leave out tracks whose licence does not let them be passed on."
    )

    def validate_parts(self, value: dict[str, str]) -> dict[int, str]:
        if wrong := [key for key in value if not key.isdecimal() or len(key) > 18]:
            raise serializers.ValidationError(f"“{wrong[0][:40]}” is no number of a track.")
        return {int(key): part for key, part in value.items()}


class AssignmentSerializer(serializers.ModelSerializer[Assignment]):
    """A slot for the caller. It names neither the track nor anything about it: raters are blind."""

    id = serializers.UUIDField(source="key", read_only=True)
    audio = serializers.HyperlinkedIdentityField(view_name="assignment-audio", lookup_field="key")
    minimum_s = serializers.SerializerMethodField(help_text="Seconds to listen before a rating is taken.")

    class Meta:
        model = Assignment
        fields = ["id", "questionnaire", "state", "expires_at", "shown_at", "draft", "minimum_s", "audio"]
        read_only_fields = ["state", "expires_at", "shown_at", "draft"]

    def get_minimum_s(self, slot: Assignment) -> float:
        return slot.questionnaire.minimum_for(slot.track.duration_s or 0)


class NextSerializer(serializers.Serializer[Assignment]):
    questionnaire = serializers.PrimaryKeyRelatedField(queryset=Questionnaire.objects.filter(is_open=True))
    ahead = serializers.BooleanField(default=False, help_text="Reserve the track after the open one, to load it early.")


class DraftSerializer(serializers.Serializer[Assignment]):
    draft = serializers.JSONField()


class DeclineSerializer(serializers.Serializer[Assignment]):
    reason = serializers.ChoiceField(choices=Assignment.Reason.choices)
    note = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class RatingSerializer(serializers.ModelSerializer[Rating]):
    assignment = serializers.UUIDField(source="assignment.key", read_only=True, default=None)
    word = serializers.CharField(source="word.key", read_only=True, default=None)
    label = serializers.CharField(source="label.key", read_only=True, default=None)  # type: ignore[assignment]

    class Meta:
        model = Rating
        fields = [
            "assignment", "questionnaire", "word", "label", "valence", "arousal", "confidence", "known", "vocals", "answers", "heard_s",
            "heard_share", "replays", "hidden_s", "rated_at",
        ]  # fmt: skip


class NewRatingSerializer(serializers.Serializer[Rating]):
    assignment = serializers.UUIDField()
    key = serializers.UUIDField(required=False, help_text="Of this submission: sent twice, it is taken once.")
    word = serializers.CharField(max_length=30)
    valence = serializers.FloatField(min_value=-1, max_value=1, required=False, allow_null=True)
    arousal = serializers.FloatField(min_value=-1, max_value=1, required=False, allow_null=True)
    confidence = serializers.IntegerField(min_value=1, max_value=3, required=False, allow_null=True)
    known = serializers.BooleanField(default=False)
    vocals = serializers.BooleanField(default=False)
    answers = serializers.DictField(child=serializers.CharField(max_length=1000), default=dict)
    heard_s = serializers.FloatField(min_value=0, default=0, help_text="Seconds of playing.")
    heard_share = serializers.FloatField(min_value=0, max_value=1, default=0)
    replays = serializers.IntegerField(min_value=0, default=0)
    hidden_s = serializers.FloatField(min_value=0, default=0)


class UndoSerializer(serializers.Serializer[Questionnaire]):
    questionnaire = serializers.PrimaryKeyRelatedField(queryset=Questionnaire.objects.all())


class InviteSerializer(serializers.ModelSerializer[Invite]):
    link = serializers.SerializerMethodField()

    class Meta:
        model = Invite
        fields = ["id", "questionnaire", "note", "max_uses", "uses", "expires_at", "revoked_at", "link"]
        read_only_fields = ["uses", "revoked_at"]

    def get_link(self, invite: Invite) -> str:
        path = reverse("annotate:join", args=[invite_token(invite)])
        return str(self.context["request"].build_absolute_uri(path)) if "request" in self.context else path


class QualitySerializer(serializers.Serializer[Quality]):
    """The signs of a rater's quality in one questionnaire."""

    id = serializers.IntegerField(source="rater.pk", read_only=True)
    pseudonym = serializers.CharField(source="rater.pseudonym", read_only=True)
    set_aside_from = serializers.DateTimeField(source="rater.set_aside_from", read_only=True)
    n = serializers.IntegerField(read_only=True)
    minutes = serializers.FloatField(read_only=True)
    median_s = serializers.FloatField(source="pace.median_s", read_only=True)
    agreement = serializers.FloatField(read_only=True)
    agreement_n = serializers.IntegerField(read_only=True)
    consistency = serializers.FloatField(read_only=True)
    consistency_n = serializers.IntegerField(read_only=True)
    gold = serializers.FloatField(read_only=True)
    gold_n = serializers.IntegerField(read_only=True)
    flags = serializers.ListField(child=serializers.CharField(), read_only=True)


class StepSerializer(serializers.Serializer[Questionnaire]):
    step = serializers.ChoiceField(choices=[(step, step) for step in STEPS])
    agree = serializers.BooleanField(default=False, write_only=True)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if data["step"] == "consent" and not data["agree"]:
            raise serializers.ValidationError({"agree": [_("Without consent nothing can be kept.")]})
        return data


class SetAsideSerializer(serializers.Serializer[Rater]):
    since = serializers.DateTimeField()
    apply = serializers.BooleanField(default=False, help_text="Without it, only what would change is answered.")


class ChangeSerializer(serializers.Serializer[Any]):
    track = serializers.IntegerField(source="track_id", read_only=True)
    before = serializers.CharField(read_only=True)
    after = serializers.CharField(read_only=True)
    n_before = serializers.IntegerField(read_only=True)
    n_after = serializers.IntegerField(read_only=True)


class ConsensusSerializer(serializers.ModelSerializer[Consensus]):
    label = serializers.CharField(source="label.key", read_only=True, default=None)  # type: ignore[assignment]

    class Meta:
        model = Consensus
        fields = ["id", "track", "questionnaire", "state", "target", "n_ratings", "votes", "agreement", "label", "updated_at"]


class RulingSerializer(serializers.Serializer[Consensus]):
    label = serializers.SlugField(  # type: ignore[assignment]
        allow_null=True, help_text="Key of a label of the dataset; null takes a ruling back."
    )
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class DoubtSerializer(serializers.Serializer[Any]):
    track = serializers.IntegerField(source="item.track_id", read_only=True)
    title = serializers.CharField(source="item.title", read_only=True)
    label = serializers.CharField(source="item.label", read_only=True)  # type: ignore[assignment]
    votes = serializers.JSONField(source="item.votes", read_only=True)
    mean = serializers.DictField(child=serializers.FloatField(), read_only=True)
    by_models = serializers.FloatField(read_only=True)
    by_raters = serializers.FloatField(read_only=True)
    is_test = serializers.BooleanField(read_only=True)
    review = serializers.CharField(source="review.action", read_only=True, default=None)

    def to_representation(self, instance: Any) -> Any:
        return super().to_representation(replace(instance, mean=dict(instance.mean)))


class ReviewSerializer(serializers.Serializer[Review]):
    release = serializers.SlugRelatedField(slug_field="name", queryset=Release.objects.all())
    track = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    action = serializers.ChoiceField(choices=Review.Action.choices)
    label = serializers.SlugField(required=False, allow_null=True, default=None, help_text="To rule: the key of a label.")  # type: ignore[assignment]
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
    seen = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=10**6,
        help_text="How many reviews of the track you know of: when somebody has dealt with it since, nothing is done.",
    )  # fmt: skip
