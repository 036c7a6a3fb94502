from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from datasets.forms import SeveralFilesField
from datasets.models import Dataset, Track
from mer.methods.params import INPUTS, NETWORKS, RECIPES, TrainingParams
from mer.services import runs

DEFAULT = TrainingParams()


class PredictForm(forms.Form):
    recordings = SeveralFilesField(
        required=False, label=_("Audio files"), help_text=_("Several at once, if you like. They are not kept once they are heard.")
    )
    track = forms.ModelChoiceField(
        Track.objects.none(), required=False, label=_("or a track of this dataset"), help_text=_("Its number stands in the address of its page."),
    )  # fmt: skip

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = Track.objects.filter(dataset=dataset, state=Track.State.READY).order_by("-pk")
        self.fields["track"].queryset = newest  # type: ignore[attr-defined]
        self.fields["track"].widget = forms.NumberInput(attrs={"min": 1, "placeholder": _("its number")})

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("recordings") and not data.get("track") and not self.errors:
            raise forms.ValidationError(_("Choose at least one audio file, or name a track by its number."))
        return data


class TrainForm(forms.Form):
    network = forms.ChoiceField(choices=list(NETWORKS.items()))
    input = forms.ChoiceField(choices=list(INPUTS.items()))
    recipe = forms.ChoiceField(choices=list(RECIPES.items()))
    folds = forms.BooleanField(
        required=False, label=_("In five folds"), help_text=_("Every track is tested once: steadier figures, five times the work.")
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
        min_value=1, max_value=500, initial=DEFAULT.epochs, help_text=_("Training stops earlier when validation stops improving.")
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=DEFAULT.seed)
