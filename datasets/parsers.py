"""What the API takes for JSON: what JSON can say and every database can hold."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class PlainJSONParser(JSONParser):
    """Python's parser makes infinity of 1e400 and takes halves of letters; both are refused here by name, not met as a 500 later."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        encoding = (parser_context or {}).get("encoding", settings.DEFAULT_CHARSET)
        try:
            text = stream.read().decode(encoding)
            found: dict[str, Any] = json.loads(text, parse_float=_finite, parse_constant=_refuse)
            if "\\u" in text:
                json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ParseError("The JSON holds half of a letter (a lone surrogate such as \\ud800).") from None
        except (ValueError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {error}") from None
        return found


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no finite number")
