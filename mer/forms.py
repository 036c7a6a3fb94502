from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from datasets.forms import SeveralFilesField
from datasets.models import Dataset, Release, Track
from mer.methods.params import INPUTS, NETWORKS, PRECISIONS, RECIPES, TrainingParams, names_of
from mer.models import Run
from mer.services import runs

DEFAULT = TrainingParams()


def translated(choices: Mapping[str, str]) -> list[tuple[str, Promise]]:
    """(value, name) with names that are marked for the catalogue where they stand."""
    return [(value, _(words)) for value, words in choices.items()]


class PredictForm(forms.Form):
    recordings = SeveralFilesField(
        required=False, label=_("Audio files"), help_text=_("Several at once, if you like. They are not kept once they are heard.")
    )
    track = forms.CharField(
        max_length=200, required=False, label=_("or a track of this dataset"), help_text=_("A piece of its title, or its number."),
    )  # fmt: skip

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataset = dataset

    def clean_track(self) -> Track | None:
        asked = self.cleaned_data["track"]
        if not asked:
            return None
        ready = Track.objects.filter(dataset=self.dataset, state=Track.State.READY).order_by("title", "pk")
        if asked.isdecimal() and len(asked) < 19 and (found := ready.filter(pk=int(asked)).first()):
            return found
        like = list(ready.filter(title__icontains=asked)[:6])
        same = [track for track in like if track.title.casefold() == asked.casefold()]
        if len(same or like) == 1:
            return (same or like)[0]
        if not like:
            raise forms.ValidationError(_("No track that is ready has “%(asked)s” in its title."), params={"asked": asked[:60]})
        names = ", ".join(f"{track.title[:60]} ({track.pk})" for track in like[:5]) + (" …" if len(like) > 5 else "")
        raise forms.ValidationError(_("Several tracks are called so. Write the number of one: %(list)s"), params={"list": names})

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("recordings") and not data.get("track") and not self.errors:
            raise forms.ValidationError(_("Choose at least one audio file, or name a track."))
        return data


class RunsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, run: Any) -> str:
        return f"{run.name}, {run.input_in_words}"


class TrainForm(forms.Form):
    network = forms.ChoiceField(label=_("Network"), choices=translated(NETWORKS))
    input = forms.ChoiceField(
        label=_("Input"), choices=translated(names_of(INPUTS)),
        help_text=_("Of the networks, which see pictures; the others hear the whole recording."),
    )  # fmt: skip
    recipe = forms.ChoiceField(
        label=_("Recipe"), choices=translated(names_of(RECIPES)), help_text=_("Of the pictures; the others have none.")
    )
    folds = forms.BooleanField(
        required=False,
        label=_("In folds"),
        help_text=_("Every track is tested once: steadier figures; with five folds, five times the work."),
    )
    repeats = forms.IntegerField(
        min_value=1, max_value=runs.MOST_DRAWS, initial=1, required=False, label=_("Drawings of the folds"),
        help_text=_("With folds: as many runs, each on folds drawn anew. Two networks are then compared over all of them."),
    )  # fmt: skip
    vote_shares = forms.BooleanField(
        required=False,
        label=_("Learn from vote shares"),
        help_text=_("From how the raters’ votes are shared, not from the label alone. Linear models always do."),
    )
    epochs = forms.IntegerField(
        label=_("Epochs, at most"),
        min_value=1,
        max_value=500,
        initial=DEFAULT.epochs,
        help_text=_("Of the networks. Training stops earlier when validation stops improving."),
    )
    seed = forms.IntegerField(label=_("Seed"), min_value=0, max_value=2**31 - 1, initial=DEFAULT.seed)
    seeds = forms.IntegerField(
        min_value=1, max_value=runs.MOST_SEEDS, initial=1, required=False, label=_("Number of seeds"),
        help_text=_("As many runs, each with the next seed: how much of a figure is chance."),
    )  # fmt: skip
    # Rarely changed: the page folds these away. Empty means the network's own.
    members = RunsField(
        queryset=Run.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label=_("Runs that an ensemble averages"),
        help_text=_("None: a model on features and one on MusiCNN, made anew."),
    )  # fmt: skip
    learning_rate = forms.FloatField(required=False, label=_("Learning rate"), help_text=_("Smaller where the loss becomes NaN."))
    batch_size = forms.IntegerField(required=False, label=_("Pictures at a time"), help_text=_("Fewer where memory runs out."))
    dropout = forms.FloatField(
        required=False, label=_("Dropout"), help_text=_("Share of the values that are hidden: 0 to below 1.")
    )
    mixup = forms.FloatField(required=False, label=_("Mixup"), help_text=_("Pictures are blended two by two: 0 (not) to 10."))
    depth = forms.IntegerField(required=False, label=_("Depth"), help_text=_("Layers of convolutions of cnn and crnn: 1 to 4."))
    width = forms.FloatField(required=False, label=_("Width"), help_text=_("What their numbers of filters are multiplied by."))
    precision = forms.ChoiceField(required=False, label=_("Precision"), choices=translated(PRECISIONS))
    shuffle_labels = forms.BooleanField(
        required=False, label=_("Shuffle the labels"), help_text=_("A control: what is learned then can be no better than chance."),
    )  # fmt: skip

    def __init__(self, *args: Any, release: Release, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        finished = release.runs.filter(job__state="done").exclude(params__shuffle_labels=True)
        finished = finished.select_related("release", "split", "spectrogram_set", "job").order_by("-pk")
        self.fields["members"].queryset = finished  # type: ignore[attr-defined]

    def everyday(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in RARE]

    def rare(self) -> list[forms.BoundField]:
        return [self[name] for name in RARE]

    def rare_is_used(self) -> bool:
        """Something among the rare is chosen or wrong: then it is not folded away."""
        used = any(self[name].value() not in (None, "", [], False, "auto") for name in RARE)
        return used or any(self[name].errors for name in RARE)


RARE = (
    "members", "learning_rate", "batch_size", "dropout", "mixup", "depth", "width", "precision", "shuffle_labels",
)  # fmt: skip
