"""Sentences that pure code says and pages show: marked here for the catalogue, put together in the language of who reads them."""

from collections.abc import Callable, Iterable, Mapping

Sentence = tuple[str, Mapping[str, object]]  # a text with %(names)s, and their values; a value may itself be a sentence


def N_(text: str) -> str:  # noqa: N802 (the name by which Babel knows what is to be translated)
    """The text as it is: it is translated where it is shown."""
    return text


def in_words(said: Iterable[Sentence], translate: Callable[[str], str] = str) -> str:
    """The sentences one after the other; English where no `translate` is given."""

    def put(sentence: Sentence) -> str:
        text, values = sentence
        return translate(text) % {name: put(value) if isinstance(value, tuple) else value for name, value in values.items()}

    return " ".join(map(put, said))
