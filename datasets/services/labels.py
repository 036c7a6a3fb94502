"""The labels and words of a dataset."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from datasets.methods.schemes import Scheme, keys_of
from datasets.models import Dataset, Label, Word
from datasets.services.audit import record


@transaction.atomic
def set_labels(dataset: Dataset, scheme: Scheme, *, by: User | None = None) -> None:
    """Give a dataset these labels in place of those it has. Whoever calls it knows that nothing stands on the old ones."""
    before = ", ".join(dataset.labels.values_list("key", flat=True))
    dataset.labels.all().delete()
    keys = keys_of([label.name for label in scheme])
    keys_of_words = iter(keys_of([word.name for label in scheme for word in label.words]))
    for order, (key, label) in enumerate(zip(keys, scheme, strict=True)):
        names = {"id": label.indonesian} if label.indonesian else {}
        row = Label.objects.create(dataset=dataset, key=key, name=label.name, translations=names, colour=label.colour, order=order)
        Word.objects.bulk_create(
            Word(
                label=row, key=next(keys_of_words), name=word.name, translations={"id": word.indonesian} if word.indonesian else {},
                valence=word.valence, arousal=word.arousal, order=number,
            )
            for number, word in enumerate(label.words)
        )  # fmt: skip
    now = ", ".join(keys)
    record(dataset, before=before[:30], to="labels set", actor=by, reason=f"{before or 'none'} -> {now}")
