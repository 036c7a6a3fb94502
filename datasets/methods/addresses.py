"""What a pasted address of YouTube names: a video, a playlist or a channel.

Only the id is taken from it; the address that is fetched is rebuilt from the id, so no other host is ever reached.
"""

import html
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, urlsplit

from datasets.errors import DatasetsError

YOUTUBE = frozenset(
    {"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com", "youtube-nocookie.com"}
    | {"youtubekids.com", "www.youtubekids.com"}
)
# They show YouTube's videos under the same ids; the id is taken, the video comes from YouTube itself.
MIRRORS = frozenset({"invidio.us", "redirect.invidious.io", "vid.plus", "zwearz.com"})
VIDEO_ID = re.compile(r"[0-9A-Za-z_-]{11}")
PLAYLIST_ID = re.compile(r"(?:PL|UU|FL|OL|EC|EL|TL|PU)[0-9A-Za-z_-]{10,60}|OLAK5uy_[0-9A-Za-z_-]{10,60}")
ALBUM_ID = re.compile(r"MPREb_[0-9A-Za-z_-]{5,40}")
CHANNEL_ID = re.compile(r"UC[0-9A-Za-z_-]{22}")
CHANNEL_NAME = re.compile(r"@?[\w.\-·]{1,100}")
VIDEO_PATHS = ("shorts", "embed", "live", "v", "e", "watch")
REFUSED_PATHS = {
    "results": "a search",
    "search": "a search",
    "hashtag": "a hashtag",
    "clip": "a clip, which names no video",
    "source": "shorts that share a sound",
    "feed": "a feed",
    "gaming": "a feed",
    **dict.fromkeys(
        ("post", "premium", "signin", "podcasts", "oembed", "account", "ads", "about", "t", "redirect"), "a page of YouTube's own"
    ),
}
FEEDS = {
    "history": "the history of an account",
    "subscriptions": "the subscriptions of an account",
    "watch_later": "the “watch later” list of an account",
    "library": "the library of an account",
    "recommended": "recommendations",
    "trending": "the trends of the day",
}
KEYWORDS = {
    "ytfav": "the favourites of an account",
    "ytfavorites": "the favourites of an account",
    "ythis": FEEDS["history"],
    "ythistory": FEEDS["history"],
    "ytnotif": "the notifications of an account",
    "ytnotifications": "the notifications of an account",
    "ytrec": FEEDS["recommended"],
    "ytrecommended": FEEDS["recommended"],
    "ytsubs": FEEDS["subscriptions"],
    "ytsubscriptions": FEEDS["subscriptions"],
    "ytwatchlater": FEEDS["watch_later"],
}
PRIVATE_LISTS = {"WL": FEEDS["watch_later"], "LL": "the liked videos of an account", "LM": "the liked music of an account"}


class AddressRefused(DatasetsError):
    """Not an address that tracks can come from; the message says what it is instead."""


@dataclass(frozen=True)
class Address:
    """`kind` is video, playlist or channel; a channel's `identifier` is its id (UC…) or its name (@…, c/…, user/…)."""

    kind: str
    identifier: str
    url: str


INSIDE = re.compile(r"""\b(?:src|href)\s*=\s*["']([^"']+)["']""", re.IGNORECASE)


def video(identifier: str) -> Address:
    return Address("video", identifier, f"https://www.youtube.com/watch?v={identifier}")


def playlist(identifier: str) -> Address:
    if ALBUM_ID.fullmatch(identifier):
        return Address("playlist", identifier, f"https://music.youtube.com/browse/{identifier}")
    return Address("playlist", identifier, f"https://www.youtube.com/playlist?list={identifier}")


def channel(identifier: str) -> Address:
    path = f"channel/{identifier}" if CHANNEL_ID.fullmatch(identifier) else quote(identifier, safe="/@")
    return Address("channel", identifier, f"https://www.youtube.com/{path}/videos")


def parse(text: str) -> Address:
    """The video, playlist or channel that a pasted address names; a bare id will do. A video within a list is the video.

    Raises
    ------
    AddressRefused
        Another host, a kind that no tracks can come from (search, history, live stream …), or an address that was cut off.
    """
    address = text.strip()
    if address.startswith("<") and (inside := INSIDE.search(address)):  # a player's or a link's HTML
        address = inside.group(1)
    if bare := _bare(address):
        return bare
    for _ in range(3):
        address = html.unescape(address)
    if address.startswith("//"):
        address = f"https:{address}"
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
        host, query = (parts.hostname or "").lower(), parse_qs(parts.query)
        _port = parts.port
    except ValueError:
        raise AddressRefused(f"“{text}” is not an address.") from None
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    if parts.scheme not in ("http", "https") or parts.username is not None:
        raise AddressRefused(f"“{text}” is not an address of a web page.")
    if host == "consent.youtube.com" and query.get("continue") and "consent.youtube.com" not in query["continue"][0]:
        return parse(query["continue"][0])
    if host == "youtu.be":
        return _video(text, segments[0] if segments else "")
    if host in MIRRORS:
        return _of_mirror(text, segments, query)
    if host not in YOUTUBE:
        raise AddressRefused(
            f"“{text}” is not a YouTube address. Paste the address of a video, such as https://www.youtube.com/watch?v=…"
        )
    return _of_youtube(text, segments, query)


def _bare(text: str) -> Address | None:
    """An id or a keyword of yt-dlp's without any address around it."""
    if text.startswith(("ytsearch", "ytmsearch")):
        raise AddressRefused(f"“{text}” is a search. Open a video, a playlist or a channel and copy its address.")
    if text.startswith(":"):
        raise _refused(text, KEYWORDS.get(text[1:].lower(), "no address"))
    if text.startswith("ytuser:") and CHANNEL_NAME.fullmatch(text[7:]):
        return channel(f"user/{text[7:]}")
    if PLAYLIST_ID.fullmatch(text):
        return playlist(text)
    if CHANNEL_ID.fullmatch(text):
        return channel(text)
    if text.startswith("@") and CHANNEL_NAME.fullmatch(text):
        return channel(text)
    return video(text) if VIDEO_ID.fullmatch(text) else None


def _refused(text: str, what: str) -> AddressRefused:
    return AddressRefused(f"“{text}” is {what}: no tracks can come from it. Paste the address of a video, a playlist or a channel.")


def _video(text: str, identifier: str) -> Address:
    if VIDEO_ID.fullmatch(identifier):
        return video(identifier)
    raise AddressRefused(
        f"“{text}” names no single video: its id is missing or cut off. Open the video itself and copy its address."
    )


def _list(text: str, identifier: str) -> Address:
    if identifier in PRIVATE_LISTS:
        raise _refused(text, PRIVATE_LISTS[identifier])
    if identifier.startswith("RD"):
        raise _refused(text, "a mix that YouTube makes anew for everybody")
    if PLAYLIST_ID.fullmatch(identifier):
        return playlist(identifier)
    raise AddressRefused(f"“{text}” names no playlist: its id is missing or cut off.")


def _of_mirror(text: str, segments: list[str], query: dict[str, list[str]]) -> Address:
    if "v" in query:
        return _video(text, query["v"][0])
    if segments[:1] == ["playlist"]:
        return _list(text, query.get("list", [""])[0])
    if segments[:1] == ["channel"] and len(segments) > 1 and CHANNEL_ID.fullmatch(segments[1]):
        return channel(segments[1])
    return _video(text, next((segment for segment in segments if VIDEO_ID.fullmatch(segment)), ""))


def _of_youtube(text: str, segments: list[str], query: dict[str, list[str]]) -> Address:
    first, second = (*segments, "", "")[:2]
    first = first.lower() if first.lower() in ("watch", "playlist", "shorts", "embed", *REFUSED_PATHS) else first
    listed = query.get("list", [""])[0]
    if not segments:
        raise _refused(text, "YouTube's home page")
    if first == "attribution_link" and (inner := query.get("u", [""])[0]).startswith("/watch?"):
        return _of_youtube(text, ["watch"], parse_qs(inner.partition("?")[2]))
    if first in ("watch", "watch_popup"):
        return _list(text, listed) if listed and "v" not in query else _video(text, query.get("v", [second])[0])
    if first == "embed" and (second == "live_stream" or "channel" in query):
        raise _refused(text, "a live stream")
    if first == "embed" and listed:
        return _list(text, listed)
    if first in VIDEO_PATHS:
        return _video(text, second)
    if first == "playlist":
        return _list(text, listed)
    if first == "feed":
        raise _refused(text, FEEDS.get(second, "a feed"))
    if first in REFUSED_PATHS:
        raise _refused(text, REFUSED_PATHS[first])
    if segments[-1] == "live":
        raise _refused(text, "the live stream of a channel")
    if first == "browse":
        return _browsed(text, second)
    if first == "channel":
        if CHANNEL_ID.fullmatch(second):
            return channel(second)
        raise AddressRefused(f"“{text}” names no channel: its id is missing or cut off.")
    if first in ("c", "user") and CHANNEL_NAME.fullmatch(second):
        return channel(f"{first}/{second}")
    if CHANNEL_NAME.fullmatch(first):
        return channel(first)
    raise AddressRefused(f"“{text}” names no video, playlist or channel.")


def _browsed(text: str, identifier: str) -> Address:
    """A page of YouTube Music."""
    if CHANNEL_ID.fullmatch(identifier):
        return channel(identifier)
    if identifier.startswith("VL"):
        return _list(text, identifier[2:])
    if ALBUM_ID.fullmatch(identifier):
        return playlist(identifier)
    raise AddressRefused(f"“{text}” names no playlist, album or channel.")
