"""What is written of a licence, and whether it lets a recording be passed on."""

import pytest

from datasets.methods.licences import may_be_passed_on


@pytest.mark.parametrize(
    "licence",
    ["CC0-1.0", "CC-BY-4.0", "cc by-nc-nd 3.0", "CC BY", "Creative Commons Attribution license (reuse allowed)", "Public domain", "PD",
     "https://creativecommons.org/licenses/by/4.0/", "Free Art License 1.3", "May be passed on (letter of Studio X, 2024)", " CC0 "],
)  # fmt: skip
def test_what_lets_others_hand_on_copies(licence):
    assert may_be_passed_on(licence)


@pytest.mark.parametrize(
    "licence",
    ["", " ", "All rights reserved", "no licence", "none", "unknown", "Standard YouTube License", "not CC", "copyright CC Music", "pdf",
     "commercial", "may not be passed on", "ccmixter?"],
)  # fmt: skip
def test_what_does_not(licence):
    assert not may_be_passed_on(licence)
