import csv
import secrets
import uuid
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from annotate.services.ratings import Answer, Listening
from datasets.methods import schemes, splits
from datasets.methods.schemes import Scheme
from datasets.models import Dataset, Label, Release
from datasets.services import releases


class ExclusionsForm(forms.Form):
    """What else a release leaves out; each track with its reason."""

    without_incomplete = forms.BooleanField(
        required=False,
        label=_("Leave out tracks whose spectrogram is incomplete"),
        help_text=_("As the paper did (536 tracks became 361)."),
    )
    without_unlicensed = forms.BooleanField(
        required=False,
        label=_("Leave out tracks without a licence to pass on"),
        help_text=_(
            "So that everything in it can be given away with its audio: Creative Commons, the public domain, or “may be passed on”."
        ),
    )


class FreezeForm(forms.Form):
    name = forms.SlugField(
        label=_("Name"),
        max_length=60,
        help_text=_("Letters, digits, - and _. It cannot be changed later."),
        error_messages={"invalid": _("“%(value)s” cannot be a release's name: use letters, digits, - and _ only.")},
    )
    seed = forms.IntegerField(
        label=_("Seed"), min_value=0, max_value=2**31 - 1, help_text=_("The same tracks and seed give the same split.")
    )

    def __init__(self, *args: Any, dataset_name: str = "", **kwargs: Any) -> None:
        number = Release.objects.filter(dataset__name=dataset_name).count() + 1
        initial = {"name": f"{slugify(dataset_name) or 'release'}-v{number}", "seed": secrets.randbelow(10_000)}
        super().__init__(*args, **({"initial": initial} | kwargs))

    description = forms.CharField(label=_("Description"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))
    licence = forms.CharField(label=_("Licence"), required=False, max_length=100, help_text=_("Of the labels, e.g. CC-BY-4.0."))
    authors = forms.CharField(
        label=_("Authors"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line, in the order of a citation."),
    )
    parts = forms.FileField(
        required=False,
        label=_("A fixed split"),
        help_text=_(
            "CSV with the columns track_id and part (train, validation, test). Without it 80/10/10 are drawn. Folds are drawn beside it."
        ),
    )

    n_folds = forms.IntegerField(
        required=False,
        label=_("Folds"),
        min_value=releases.FEWEST_FOLDS,
        max_value=releases.MOST_FOLDS,
        help_text=_(
            "For runs that test every track once. Empty: as many as in the last release, so that tracks keep their fold, or five, where there are as many artists."
        ),
    )

    def clean_authors(self) -> list[str]:
        return [line.strip()[:200] for line in self.cleaned_data["authors"].splitlines() if line.strip()]

    def clean_parts(self) -> dict[int, str] | None:
        file = self.cleaned_data["parts"]
        try:
            return splits.read_parts(file.read()) if file else None
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Release.objects.filter(name=name).exists():
            raise forms.ValidationError(
                _("A release named “%(name)s” exists; a frozen release is never changed. Choose another name."),
                params={"name": name},
            )
        return name


class RatingForm:
    """What the rating page sends, as values for `submit_rating`. What is malformed counts as not given: the page asks again."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def values(self) -> dict[str, Any]:
        answer = Answer(
            valence=self._number("valence"),
            arousal=self._number("arousal"),
            confidence=int(self.data["confidence"]) if self.data.get("confidence", "") in ("1", "2", "3") else None,
            known=bool(self.data.get("known")),
            vocals=bool(self.data.get("vocals")),
            answers={name[2:]: value for name, value in self.data.items() if name.startswith("q-")},
        )
        listening = Listening(
            heard_s=self._number("heard_s") or 0,
            heard_share=self._number("heard_share") or 0,
            replays=int(self._number("replays") or 0),
            hidden_s=self._number("hidden_s") or 0,
        )
        return {"word_key": self.data.get("word", ""), "answer": answer, "listening": listening, "key": self._key()}

    def _number(self, name: str) -> float | None:
        try:
            value = float(self.data.get(name) or "")
        except ValueError:
            return None
        return value if abs(value) < 1e9 else None  # neither infinite nor nan

    def _key(self) -> uuid.UUID | None:
        try:
            return uuid.UUID(self.data.get("key") or "")
        except ValueError:
            return None


class SchemeForm(forms.Form):
    table = forms.CharField(
        max_length=20_000,
        label=_("A word a line"),
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
        help_text=_(
            "Columns label and word; optional valence and arousal (-1 to 1), label_id and word_id (their Indonesian names), colour (#a85200)."
        ),
    )

    def clean_table(self) -> Scheme:
        try:
            return schemes.read_table(self.cleaned_data["table"])
        except (ValueError, csv.Error) as error:
            raise forms.ValidationError(str(error)) from None


class RatingsTableForm(forms.Form):
    table = forms.FileField(
        label=_("A table of ratings"),
        help_text=_("CSV, TSV or XLSX; the first row names the columns."),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx"}),
    )
    layout = forms.ChoiceField(
        choices=[("rating", _("A row a rating")), ("rater", _("A row a rater, a column a track (as a form gives it)"))],
        label=_("How it is laid out"),
    )
    of_two = forms.ChoiceField(
        choices=[("refuse", _("Refuse the second")), ("first", _("Keep the first")), ("last", _("Keep the last"))],
        label=_("Where a rater rated a track twice"),
    )
    track = forms.CharField(
        required=False, max_length=200, label=_("Column of the track"), help_text=_("Its external id, number or title.")
    )
    rater = forms.CharField(
        required=False, max_length=200, label=_("Column of the rater"), help_text=_("Kept as a pseudonym only.")
    )
    word = forms.CharField(required=False, max_length=200, label=_("Column of the word"))
    label = forms.CharField(required=False, max_length=200, label=_("Column of the label"))
    rated_at = forms.CharField(required=False, max_length=200, label=_("Column of the time"))
    leave_out = forms.BooleanField(required=False, label=_("Leave out the rows that cannot be taken"))


class RulingForm(forms.Form):
    label = forms.ModelChoiceField(Label.objects.none(), widget=forms.RadioSelect, empty_label=None, label=_("Label"))
    reason = forms.CharField(max_length=500, label=_("Why"), widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["label"].queryset = dataset.labels.all()  # type: ignore[attr-defined]


class ReviewForm(forms.Form):
    """What is needed depends on the button: `services.reviews.review` says what is missing."""

    label = forms.ModelChoiceField(
        Label.objects.none(), widget=forms.RadioSelect, required=False, label=_("Label"), empty_label=None
    )
    reason = forms.CharField(max_length=500, required=False, label=_("Why"), widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["label"].queryset = dataset.labels.all()  # type: ignore[attr-defined]


class BackgroundForm(forms.Form):
    """Optional throughout: a rater who says nothing is as welcome."""

    AGES = [("", _("I would rather not say")), ("-17", _("under 18")), ("18-24", "18–24"), ("25-34", "25–34"), ("35-49", "35–49"),
            ("50-64", "50–64"), ("65-", _("65 or older"))]  # fmt: skip
    TRAINING = [("", _("I would rather not say")), ("none", _("none")), ("some", _("some lessons, or I taught myself")),
                ("years", _("several years of lessons")), ("professional", _("music is my profession"))]  # fmt: skip
    age = forms.ChoiceField(label=_("Your age"), choices=AGES, required=False)
    training = forms.ChoiceField(label=_("Musical training"), choices=TRAINING, required=False)
    languages = forms.CharField(
        label=_("Languages that you speak well"),
        max_length=100,
        required=False,
        help_text=_("As in: Indonesian, Sundanese, English"),
    )

    def clean_languages(self) -> str:
        return str(self.cleaned_data["languages"]).replace("\0", "")


class InviteForm(forms.Form):
    note = forms.CharField(label=_("For whom"), max_length=100, required=False, help_text=_("Raters do not see this."))
    max_uses = forms.IntegerField(
        label=_("How many people"), min_value=1, max_value=100_000, required=False, initial=1, help_text=_("Empty: any number.")
    )
    days = forms.IntegerField(
        label=_("Valid for days"),
        min_value=1,
        max_value=3650,
        required=False,
        initial=14,
        help_text=_("Empty: it does not expire."),
    )

    def values(self) -> dict[str, Any]:
        days = self.cleaned_data["days"]
        expires_at = timezone.now() + timedelta(days=days) if days else None
        return {"note": self.cleaned_data["note"], "max_uses": self.cleaned_data["max_uses"], "expires_at": expires_at}


class SetAsideForm(forms.Form):
    since = forms.DateField(label=_("From this day on"), widget=forms.DateInput(attrs={"type": "date"}))

    def clean_since(self) -> datetime:
        day: date = self.cleaned_data["since"]
        return timezone.make_aware(datetime.combine(day, time.min))


class RuleForm(forms.Form):
    """A rule to be tried; what is left out is as it is now."""

    raters = forms.IntegerField(
        label=_("Raters a track"), min_value=1, max_value=50, help_text=_("The first so many ratings of each track.")
    )
    fewest = forms.IntegerField(
        label=_("Fewest ratings"), min_value=1, max_value=50, help_text=_("Tracks with fewer are not settled.")
    )
    threshold = forms.IntegerField(label=_("Threshold in %"), min_value=0, max_value=99, help_text=_("Agreement must be above it."))
    aside = forms.CharField(label=_("Without the rater"), required=False, max_length=60)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "raters" in data and "fewest" in data:
            data["fewest"] = min(data["fewest"], data["raters"])
        return data

    def __init__(self, *args: Any, names: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("nobody is left out")), *((name, name) for name in names)]
        self.fields["aside"].widget = forms.Select(choices=choices)
        for name, top in (("raters", 15), ("fewest", 15), ("threshold", 99)):
            self.fields[name].widget = forms.NumberInput(
                attrs={"type": "range", "min": 0 if name == "threshold" else 1, "max": top, "step": 1}
            )
