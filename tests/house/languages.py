"""The catalogue of messages: `python -m tests.house.languages` brings it up to date (make messages).

Messages are read by Babel, so that no system's gettext is needed; Django's own `templatize` turns templates into what Babel reads.
"""

import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

from config.apps import model_texts

ROOT = Path(__file__).resolve().parent.parent.parent
PO = ROOT / "locale/id/LC_MESSAGES/django.po"
MO = PO.with_suffix(".mo")
WHEN = datetime(2026, 11, 22, tzinfo=UTC)
KEYWORDS = {**DEFAULT_KEYWORDS, "gettext_lazy": None, "ngettext_lazy": (1, 2), "pgettext_lazy": ((1, "c"), 2)}


def _files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


def messages() -> dict[tuple[str | None, str], tuple[str | tuple[str, ...], list[str]]]:
    """Every message of the product: (context, id) -> (id or its two forms, files it is in)."""
    found: dict[tuple[str | None, str], tuple[str | tuple[str, ...], list[str]]] = {}
    for name in _files():
        is_code = name.endswith(".py") and name.split("/")[0] in ("annotate", "config", "datasets", "mer")
        is_page = name.startswith("templates/") and name.endswith((".html", ".js", ".txt"))
        if not (is_code or is_page) or "/migrations/" in name:
            continue
        source = (ROOT / name).read_text()
        # What is no message comes out of templatize as XXX, with the template's indentation, which means nothing here.
        text = "\n".join(line.lstrip() for line in templatize(source, origin=name).splitlines()) if is_page else source
        for _line, message, _comments, context in extract("python", io.BytesIO(text.encode()), keywords=KEYWORDS):
            key = message if isinstance(message, str) else message[0]
            found.setdefault((context, key), (message, []))[1].append(name)
    for text in names_in_the_panel():
        found.setdefault((None, text), (text, []))[1].append("config/apps.py")
    return found


def names_in_the_panel() -> list[str]:
    """Names and helps of models and fields, which are translated as they are (config/apps.py)."""
    return sorted({text for _owner, _attribute, text in model_texts()})


def catalogue() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="id", domain="django")


def compiled(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def main() -> None:
    old = catalogue() if PO.exists() else Catalog(locale="id")
    # Without dates and names, so that the same messages give the same file.
    new = Catalog(
        locale="id", domain="django", project="MER Studio", version="1", fuzzy=False, header_comment="# Indonesian of MER Studio.",
        msgid_bugs_address="-", last_translator="-", language_team="-", creation_date=WHEN, revision_date=WHEN,
    )  # fmt: skip
    new._num_plurals, new._plural_expr = 1, "0"  # Indonesian has one form for any number
    for (context, _key), (message, names) in sorted(messages().items(), key=lambda item: (item[1][1][0], item[0][1])):
        known = old.get(message if isinstance(message, str) else message[0], context)
        string = known.string if known else ""
        flags = ["python-format"] if "%(" in str(message) else []
        new.add(
            message,
            string or ("" if isinstance(message, str) else ("",)),
            [(name, 0) for name in sorted(set(names))],
            flags=flags,
            context=context,
        )
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, new, width=132, include_lineno=False, omit_header=False)
    MO.write_bytes(compiled(catalogue()))
    missing = [
        message.id for message in new if message.id and not all(message.string if message.pluralizable else [message.string])
    ]
    print(f"{len(new)} messages, {len(missing)} untranslated")
    for one in missing:
        print(" ", one)


if __name__ == "__main__":
    import os

    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    main()
