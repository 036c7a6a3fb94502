import secrets
from typing import Any

from django import forms
from django.utils.text import slugify

from datasets.models import Release


class FreezeForm(forms.Form):
    name = forms.SlugField(max_length=60, help_text="Letters, digits, - and _. It cannot be changed later.")
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The same tracks and seed give the same split.")

    def __init__(self, *args: Any, dataset_name: str = "", **kwargs: Any) -> None:
        number = Release.objects.filter(dataset__name=dataset_name).count() + 1
        initial = {"name": f"{slugify(dataset_name) or 'release'}-v{number}", "seed": secrets.randbelow(10_000)}
        super().__init__(*args, **({"initial": initial} | kwargs))

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if Release.objects.filter(name=name).exists():
            raise forms.ValidationError(f"A release named “{name}” exists; a frozen release is never changed. Choose another name.")
        return name
