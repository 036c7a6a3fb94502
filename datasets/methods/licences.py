"""Whether a recording may be passed on, by what is written of its licence."""

import re

# Creative Commons in all forms (also as YouTube writes it), the public domain, the Free Art License, and a permission of one's own: all of
# them let others hand on unchanged copies.
PERMITTING = re.compile(
    r"\s*(?:(?:https?://)?(?:www\.)?creativecommons\.org/|cc[ -]?(?:0|by|zero)\b|cc0|creative commons|public domain|pdm?\b|free art|lal\b"
    r"|may be passed on\b)",
    re.IGNORECASE,
)


def may_be_passed_on(licence: str) -> bool:
    """Only where it is said in words that are known; “all rights reserved” and what nobody has read are no permission.

    licence : free text. “May be passed on” at its beginning (by whom it was allowed may follow) is a permission that a lab was given.
    """
    return PERMITTING.match(licence) is not None
