import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.methods.addresses import MIRRORS, YOUTUBE, AddressRefused, parse, video


@pytest.mark.parametrize(
    "address",
    [
        "https://www.youtube.com/watch?v=-bWEtTTXHyI",
        "http://youtube.com/watch?list=PL123&v=-bWEtTTXHyI&t=30",
        "https://youtu.be/-bWEtTTXHyI?si=abc",
        "youtu.be/-bWEtTTXHyI",
        "-bWEtTTXHyI",
        "https://m.youtube.com/watch?v=-bWEtTTXHyI",
        "https://music.youtube.com/watch?v=-bWEtTTXHyI",
        "https://www.youtube.com/shorts/-bWEtTTXHyI",
        "https://www.youtube.com/embed/-bWEtTTXHyI",
        "https://www.youtube-nocookie.com/embed/-bWEtTTXHyI",
        "  https://www.youtube.com/live/-bWEtTTXHyI  ",
        "https://consent.youtube.com/m?continue=https%3A%2F%2Fwww.youtube.com%2Fwatch%3Fv%3D-bWEtTTXHyI",
    ],
)
def test_every_common_form_of_a_video_gives_its_id(address):
    found = parse(address)
    assert (found.kind, found.identifier, found.url) == ("video", "-bWEtTTXHyI", "https://www.youtube.com/watch?v=-bWEtTTXHyI")


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/watch?v=-bWEtTTXHyI",
        "https://youtube.com.evil.example/watch?v=-bWEtTTXHyI",
        "https://youtube.com@evil.example/watch?v=-bWEtTTXHyI",
        "https://me:word@youtube.com/watch?v=-bWEtTTXHyI",
        "file:///etc/passwd",
        "http://169.254.169.254/watch?v=-bWEtTTXHyI",
        "https://consent.youtube.com/m?continue=http://169.254.169.254/watch?v=-bWEtTTXHyI",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch?v=--exec+rm+-rf",
        "https://www.youtube.com:99999/watch?v=-bWEtTTXHyI",
        "http://[::1/",
        "",
        "--help",
    ],
)
def test_everything_else_is_refused_with_its_text(address):
    with pytest.raises(AddressRefused) as refused:
        parse(address)
    assert address in str(refused.value) or "169.254.169.254" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("https://www.youtube.com/results?search_query=x", "a search"),
        ("ytsearch5:lagu sedih", "a search"),
        ("https://www.youtube.com/feed/history", "the history"),
        (":ythistory", "the history"),
        ("https://www.youtube.com/hashtag/cctv9", "a hashtag"),
        ("https://www.youtube.com/playlist?list=WL", "watch later"),
        ("https://www.youtube.com/playlist?list=RDMM", "a mix"),
        ("https://www.youtube.com/", "home page"),
        ("https://www.youtube.com/@lofi/live", "live stream"),
        ("https://www.youtube.com/clip/UgytZKpehg-hEMBSn3F4AaABCQ", "a clip"),
    ],
)
def test_a_kind_that_no_tracks_come_from_is_refused_by_its_name(address, what):
    with pytest.raises(AddressRefused, match=what):
        parse(address)


@given(st.text(max_size=200) | st.from_regex(r"https?://(www\.)?youtube\.com/[a-z@?=&/]{0,40}", fullmatch=True))
def test_whatever_is_pasted_is_taken_or_refused_and_only_youtube_is_ever_fetched(text):
    try:
        found = parse(text)
    except AddressRefused:
        return
    assert found.url.startswith(("https://www.youtube.com/", "https://music.youtube.com/browse/"))
    assert not set(found.url) & set(" \n\r\t\0#\\")


# What yt-dlp's own test cases say of the same addresses. A watch page within a list is the video; a channel's live stream is
# refused, because only finished recordings are taken.
KINDS = {"youtube": "video", "YoutubeYtBe": "video", "youtube:playlist": "playlist", "youtube:user": "channel"}


def expected(extractor: str, url: str) -> str:
    if extractor != "youtube:tab":
        return "video" if extractor == "youtube:consent" else KINDS.get(extractor, "refused")
    if "v=" in url:
        return "video"
    if "/feed/" in url or "/hashtag/" in url or url.endswith("/live"):
        return "refused"
    return "playlist" if any(part in url for part in ("playlist?list=", "/browse/VL", "/browse/MPREb")) else "channel"


@pytest.mark.skipif("PUBLIC_DATA" not in os.environ, reason="PUBLIC_DATA is not set: the 196 addresses are not tried")
def test_the_196_cases_of_yt_dlp_are_of_the_expected_kind_and_id():
    cases = json.loads(Path(os.environ["PUBLIC_DATA"], "youtube_urls/ytdlp_youtube_tests.json").read_text())
    wrong, kinds = [], Counter()
    for case in cases:
        url, identifier = case["url"], (case.get("info_dict") or {}).get("id")
        try:
            found = parse(url)
            kind = found.kind
        except AddressRefused:
            found, kind = None, "refused"
        kinds[kind] += 1
        if kind != expected(case["extractor"], url):
            wrong.append((kind, case["extractor"], url))
        elif found and isinstance(identifier, str) and identifier in url and found.identifier != identifier:
            wrong.append((found.identifier, identifier, url))
    assert wrong == []
    assert sum(kinds.values()) == 196 and min(kinds[kind] for kind in ("video", "playlist", "channel", "refused")) > 15


def test_hosts_are_written_in_lower_case():
    assert all(host == host.lower() for host in YOUTUBE | MIRRORS)


@pytest.mark.parametrize(
    "snippet",
    [
        '<iframe width="560" height="315" src="https://www.youtube.com/embed/dQw4w9WgXcQ?si=x" title="a"></iframe>',
        "<a href='https://youtu.be/dQw4w9WgXcQ'>a song</a>",
    ],
)
def test_the_html_of_a_player_or_a_link_names_its_video(snippet):
    assert parse(snippet) == video("dQw4w9WgXcQ")


def test_html_without_an_address_of_youtube_is_refused():
    for snippet in ('<iframe src="https://evil.example/embed/dQw4w9WgXcQ">', "<b>x</b>", '<a href="//169.254.169.254/">'):
        with pytest.raises(AddressRefused):
            parse(snippet)


def test_a_shared_link_names_its_video_and_pages_of_youtube_s_own_no_channel():
    shared = "https://www.youtube.com/attribution_link?a=x&u=/watch%3Fv%3DdQw4w9WgXcQ%26feature%3Dshare"
    assert parse(shared).identifier == "dQw4w9WgXcQ"
    for page in ("premium", "oembed?url=x", "signin", "post/Ugkx"):
        with pytest.raises(AddressRefused, match="page of YouTube's own"):
            parse(f"https://www.youtube.com/{page}")
