"""Every string is there in Indonesian, and nothing on a page escapes the catalogue."""

import ast
import re
import string

import pytest
from django.utils import translation
from django.utils.formats import number_format

from tests.house import languages
from tests.house.languages import ROOT

FOUND = languages.messages()
CATALOGUE = languages.catalogue()
PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]|%%")


def test_no_message_is_untranslated_in_indonesian():
    missing = []
    for (context, key), _found in FOUND.items():
        message = CATALOGUE.get(key, context)
        strings = message.string if message and message.pluralizable else [message.string if message else ""]
        if message is None or message.fuzzy or not all(strings):
            missing.append(key)
    assert missing == [], "untranslated: run `make messages`, then fill locale/id/LC_MESSAGES/django.po"


def test_no_message_hides_inside_an_f_string_where_the_catalogue_does_not_find_it():
    hidden = []
    for name in languages._files():
        if name.endswith(".py") and name.split("/")[0] in ("annotate", "config", "datasets", "mer"):
            for node in ast.walk(ast.parse((ROOT / name).read_text())):
                inside = [part for part in ast.walk(node) if isinstance(part, ast.Call)] if isinstance(node, ast.JoinedStr) else []
                called = {part.func.id for part in inside if isinstance(part.func, ast.Name)}
                if called & {"_", *languages.KEYWORDS}:
                    hidden.append(f"{name}:{node.lineno}")
    assert hidden == []


def test_the_catalogue_has_no_message_that_nothing_uses():
    unused = {message.id if isinstance(message.id, str) else message.id[0] for message in CATALOGUE if message.id}
    assert unused - {key for _context, key in FOUND} == set()


def test_translations_keep_the_values_of_their_message():
    wrong = []
    for message in CATALOGUE:
        if not message.id:
            continue
        most = message.id[1] if message.pluralizable else message.id
        for text in message.string if message.pluralizable else [message.string]:
            if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(most)) or text.count("%%") != most.count("%%"):
                wrong.append((most, text))
    assert wrong == []


def test_the_compiled_catalogue_is_that_of_the_text():
    assert languages.MO.read_bytes() == languages.compiled(CATALOGUE), "run `make messages`"


PAGES = sorted(path for path in (ROOT / "templates").rglob("*.html"))
TAGS = re.compile(r"<(script|style|svg)\b.*?</\1>|<!--.*?-->|{#.*?#}|{%\s*comment.*?endcomment\s*%}", re.DOTALL)
MARKED = re.compile(r"{%\s*blocktranslate\b.*?endblocktranslate\s*%}|{%.*?%}|{{.*?}}", re.DOTALL)
SHOWN = re.compile(r'\b(?:aria-label|placeholder|title|alt|data-[a-z-]+-label)="([^"]*)"')
NAMES = {
    "MER Studio",
    "MER",
    "yt-dlp",
    "mel",
    "LUFS",
    "min",
    "EN",
    "ID",
    "Hz",
    "SHA",
    "R-1a2b3c4d-40-9f3e2a1b",
    "Bahasa Indonesia",
    "English",
    "s",
    "n",
    "p",
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_text_of_a_page_is_outside_the_catalogue(path):
    source = MARKED.sub(" ", TAGS.sub(" ", path.read_text()))
    bare = [text.strip() for text in re.split(r"<[^>]*>", source)] + [text.strip() for text in SHOWN.findall(source)]
    words = [
        text for text in bare if re.search(r"[A-Za-z]{2}", text) and text.strip(string.punctuation + " ·–→0123456789") not in NAMES
    ]
    assert words == []


def test_words_labels_plurals_and_dates_follow_the_language(db, dataset):
    import datetime

    from django.utils.formats import date_format
    from django.utils.translation import ngettext

    word = dataset.labels.get(key="neutral").words.get(key="calm")
    with translation.override("id"):
        assert (str(word), str(word.label)) == ("Tenang", "Netral")
        text = ngettext("%(n)d rating counts again.", "%(n)d ratings count again.", 3) % {"n": 3}
        assert text.startswith("3 ")
        assert date_format(datetime.date(2026, 8, 17), "DATE_FORMAT") == "17 Agu 2026"
    with translation.override("en"):
        assert str(word) == "Calm"


def test_numbers_are_written_alike_in_both_languages():
    numbers = [f"{58.33:.2f}", f"{3095:,}"]
    for language in ("en", "id"):
        with translation.override(language):
            assert [number_format(58.33, 2), number_format(3095, force_grouping=True)] == numbers
    number = re.compile(r"\d+[.,]\d+")
    apart = []
    for message in CATALOGUE:
        most = message.id[1] if message.pluralizable else message.id
        for text in message.string if message.pluralizable else [message.string]:
            if most and number.findall(most) != number.findall(text):
                apart.append(text)
    assert apart == []


def test_every_word_of_the_paper_has_an_indonesian_name_that_is_documented(db, dataset):
    guide = (ROOT / "docs/guide/emotion-words.md").read_text()
    for label in dataset.labels.prefetch_related("words"):
        for word in label.words.all():
            assert word.translations["id"] in guide and word.name.lower() in guide.lower()


def test_the_admin_panel_names_models_and_fields_in_the_readers_language(client, admin_person, questionnaire):
    client.force_login(admin_person)
    address = f"/admin/annotate/questionnaire/{questionnaire.pk}/change/"
    page = client.get(address, headers={"accept-language": "id"}).content.decode()
    assert "Penilai per lagu" in page and "Ingatkan dengan halus" in page and "Raters per track" not in page
    assert "Raters per track" in client.get(address, headers={"accept-language": "en"}).content.decode()
