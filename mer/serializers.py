from typing import Any

from rest_framework import serializers

from datasets.models import Release, Track
from datasets.serializers import JobSerializer
from mer.methods.params import CHOICES, INPUTS, NETWORKS, PRECISIONS, RECIPES, TrainingParams, names_of
from mer.models import Evaluation, Inference, Prediction, Run
from mer.services import runs

DEFAULT = TrainingParams()


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    class Meta:
        model = Evaluation
        fields = ["part", "n", "n_correct", "accuracy", "low", "high", "macro_f1", "majority", "confusion", "figures"]


class RunSerializer(serializers.ModelSerializer[Run]):
    release = serializers.CharField(source="release.name", read_only=True, default=None)
    job = JobSerializer(read_only=True)
    evaluations = EvaluationSerializer(many=True, read_only=True)
    split = serializers.CharField(source="split.name", read_only=True)
    input = serializers.CharField(source="spectrogram_set.input", read_only=True, default="")
    recipe = serializers.CharField(source="spectrogram_set.recipe", read_only=True, default="")
    n_torn = serializers.IntegerField(read_only=True, help_text="Artists of whom its split has tracks in two parts.")

    class Meta:
        model = Run
        fields = [
            "id", "release", "network", "split", "input", "recipe", "members", "params", "release_hash", "job", "n_weights", "best_epoch", "excluded", "environment", "one_class", "n_torn",
            "evaluations", "notes", "created_at",
        ]  # fmt: skip


class Known(serializers.Serializer[Run]):
    """A setting that is misspelt must not train something else."""

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if unknown := sorted(set(self.initial_data) - set(self.fields) - {"format", "csrfmiddlewaretoken"}):
            raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such setting."))
        return data


class NewRunSerializer(Known):
    release = serializers.SlugRelatedField(slug_field="name", queryset=Release.objects.all())
    network = serializers.ChoiceField(choices=list(NETWORKS.items()))
    input = serializers.ChoiceField(choices=list(names_of(INPUTS).items()), default="full")
    recipe = serializers.ChoiceField(choices=list(names_of(RECIPES).items()), default="robust")
    folds = serializers.BooleanField(default=False, help_text="Test every track once, in the release's folds.")
    draw = serializers.IntegerField(
        min_value=1, max_value=runs.MOST_DRAWS, default=1, help_text="Which drawing of the folds; another one repeats the k-fold."
    )
    epochs = serializers.IntegerField(min_value=1, max_value=500, default=DEFAULT.epochs)
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=DEFAULT.seed)
    members = serializers.PrimaryKeyRelatedField(
        queryset=Run.objects.all(), many=True, default=list, help_text="For an ensemble: the finished runs that it averages."
    )
    # Left out, or null: the network's own.
    vote_shares = serializers.BooleanField(default=False, help_text="Learn from how the raters' votes are shared.")
    shuffle_labels = serializers.BooleanField(default=False, help_text="A control: learned from shuffled labels.")
    batch_size = serializers.IntegerField(allow_null=True, default=None)
    learning_rate = serializers.FloatField(allow_null=True, default=None)
    dropout = serializers.FloatField(allow_null=True, default=None)
    depth = serializers.IntegerField(allow_null=True, default=None)
    width = serializers.FloatField(allow_null=True, default=None)
    mixup = serializers.FloatField(allow_null=True, default=None)
    precision = serializers.ChoiceField(choices=list(PRECISIONS), allow_null=True, default=None)

    def training(self) -> TrainingParams:
        data = self.validated_data
        return TrainingParams.of(data["network"], draw=data["draw"], **{name: data[name] for name in CHOICES})


class PaperSerializer(Known):
    """Which of the paper's runs are meant."""

    recipe = serializers.ChoiceField(choices=list(names_of(RECIPES).items()), default="paper")
    folds = serializers.BooleanField(default=False, help_text="Test every track once, in the release's folds.")
    ablations = serializers.BooleanField(default=False, help_text="The paper's ablations too.")
    epochs = serializers.IntegerField(min_value=1, max_value=500, default=DEFAULT.epochs)
    seed = serializers.IntegerField(min_value=0, max_value=2**31 - 1, default=DEFAULT.seed)


class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    class Meta:
        model = Prediction
        fields = ["run", "track", "part", "truth", "predicted", "probabilities"]


class AgainSerializer(Known):
    newest = serializers.BooleanField(default=False, help_text="On the newest release of the dataset instead of its own.")


class PromotionSerializer(Known):
    down = serializers.BooleanField(default=False, help_text="Let it step down instead.")
    reason = serializers.CharField(default="", allow_blank=True, max_length=500)


class NotesSerializer(Known):
    notes = serializers.CharField(allow_blank=True, max_length=5000)
    was = serializers.CharField(allow_blank=True, default="", help_text="The notes that these replace; others are not overwritten.")


class InferenceSerializer(serializers.ModelSerializer[Inference]):
    job = JobSerializer(read_only=True)

    class Meta:
        model = Inference
        fields = ["id", "run", "track", "filename", "label", "probabilities", "windows", "duration_s", "job", "created_at"]


class AskSerializer(serializers.Serializer[Inference]):
    """One of the two."""

    track = serializers.PrimaryKeyRelatedField(queryset=Track.objects.all(), required=False, allow_null=True, default=None)
    file = serializers.FileField(required=False, allow_null=True, default=None)

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        if (data["track"] is None) == (data["file"] is None):
            raise serializers.ValidationError("Send a file, or name a track.")
        return data
