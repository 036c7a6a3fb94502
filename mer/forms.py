from django import forms
from django.utils.translation import gettext_lazy as _

from mer.methods.params import INPUTS, NETWORKS, RECIPES, TrainingParams

DEFAULT = TrainingParams()


class TrainForm(forms.Form):
    network = forms.ChoiceField(choices=list(NETWORKS.items()))
    input = forms.ChoiceField(choices=list(INPUTS.items()))
    recipe = forms.ChoiceField(choices=list(RECIPES.items()))
    folds = forms.BooleanField(
        required=False, label=_("In five folds"), help_text=_("Every track is tested once: steadier figures, five times the work.")
    )
    vote_shares = forms.BooleanField(
        required=False,
        label=_("Learn from vote shares"),
        help_text=_("From how the raters’ votes are shared, not from the label alone. Linear models always do."),
    )
    epochs = forms.IntegerField(
        min_value=1, max_value=500, initial=DEFAULT.epochs, help_text=_("Training stops earlier when validation stops improving.")
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=DEFAULT.seed)
