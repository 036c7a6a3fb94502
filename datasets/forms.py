from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from datasets.models import ApiToken, Dataset, Track


class SeveralFilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class SeveralFilesField(forms.FileField):
    widget = SeveralFilesInput

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        return [super(SeveralFilesField, self).clean(file, initial) for file in data or []]

    def to_python(self, data: Any) -> Any:
        return data  # an empty file is refused by the service, with its name, beside the others


class AddTracksForm(forms.Form):
    dataset = forms.ModelChoiceField(Dataset.objects.all(), empty_label=None, label=_("Dataset"))
    artist = forms.CharField(
        label=_("Artist"), required=False, max_length=300, help_text=_("Tracks of one artist stay in one part of a split.")
    )
    licence = forms.CharField(
        label=_("Licence"),
        required=False,
        max_length=100,
        help_text=_("Audio is exported only where it permits that: Creative Commons, public domain, or “may be passed on”."),
    )
    recordings = SeveralFilesField(
        required=False,
        label=_("Audio files"),
        help_text=_(
            "mp3, flac, ogg, m4a, wav … drop them here or choose several at once; they come in as soon as they are chosen."
        ),
    )
    address = forms.CharField(
        required=False, max_length=300, label=_("or a YouTube address"), help_text=_("One video, e.g. https://youtu.be/…")
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("recordings") and not data.get("address") and not self.refused:
            raise forms.ValidationError(_("Choose at least one audio file, or paste the address of one YouTube video."))
        return data

    def __init__(self, *args: Any, refused: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refused = refused or []


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label=_("What it is for"))
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices, label=_("What it may do"))
    days = forms.IntegerField(min_value=1, max_value=366, initial=90, label=_("Days that it lives"))


class UploadForm(forms.Form):
    """What a page says of a file before it sends its pieces."""

    dataset = forms.ModelChoiceField(Dataset.objects.all())
    filename = forms.CharField(max_length=300)
    size = forms.IntegerField(min_value=0, max_value=2**50)
    mark = forms.CharField(max_length=64)
    artist = forms.CharField(required=False, max_length=300)
    licence = forms.CharField(required=False, max_length=100)


class ImportForm(forms.Form):
    dataset = forms.ModelChoiceField(Dataset.objects.all(), empty_label=None, label=_("Dataset"))
    addresses = forms.CharField(
        required=False,
        max_length=2_000_000,
        label=_("Addresses"),
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "placeholder": "https://www.youtube.com/watch?v=…"}),
        help_text=_("One a line: videos, shorts, playlists, channels of YouTube."),
    )
    table = forms.FileField(
        required=False,
        label=_("or a list"),
        help_text=_(
            "CSV, TSV or XLSX with a column url; optional title, artist, licence, genre, country, start, end, external_id."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,.xlsx"}),
    )
    artist = forms.CharField(label=_("Artist"), required=False, max_length=300, help_text=_("For rows that name none."))
    licence = forms.CharField(label=_("Licence"), required=False, max_length=100, help_text=_("For rows that name none."))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and bool(data.get("addresses", "").strip()) == bool(data.get("table")):
            raise forms.ValidationError(_("Paste addresses or choose a list, one of the two."))
        return data


class BundleForm(forms.Form):
    bundle = forms.FileField(
        label=_("Bundle"),
        help_text=_("The zip file as the other studio wrote it, in the format “studio” (or JSON lines or Parquet: without audio)."),
        widget=forms.FileInput(attrs={"accept": ".zip"}),
    )
    dataset = forms.ModelChoiceField(
        Dataset.objects.all(),
        required=False,
        empty_label=_("a dataset of its own"),
        label=_("It goes to"),
        help_text=_("A later version belongs to the dataset of the earlier one: tracks that are here are found again."),
    )


class ErratumForm(forms.Form):
    text = forms.CharField(max_length=2000, label=_("What is wrong with this release"), widget=forms.Textarea(attrs={"rows": 2}))


class FaultForm(forms.Form):
    track_id = forms.IntegerField(min_value=1, max_value=2**62, label=_("Number of the track"))
    text = forms.CharField(max_length=1000, label=_("What is wrong with its label"))


class DescriptionForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own class takes no argument at run time
    class Meta:
        model = Track
        fields = ["title", "artist", "licence", "genre", "country"]


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=500, widget=forms.TextInput(attrs={"placeholder": _("e.g. has vocals")}))
