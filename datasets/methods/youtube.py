"""YouTube through yt-dlp, as a library: the sound of one video, the entries of a playlist or a channel.

What goes wrong falls into classes with different cures, because the same error on every one of 614 videos is no news of the videos.
"""

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datasets.errors import DatasetsError
from datasets.methods import addresses, network

DATA_API_HOST = "www.googleapis.com"
DATA_API = f"https://{DATA_API_HOST}/youtube/v3/videos?part=status&id="
DATA_API_BYTES = 100_000


class Problem(StrEnum):
    """What went wrong, by its cure."""

    GONE = "gone"  # removed, private, closed to this country or age: final
    POLICY = "policy"  # not what is taken here: final
    NETWORK = "network"  # a broken line, an answer of 5xx: later
    BLOCKED = "blocked"  # a bot check or a rate limit: every other video would meet it too, so the queue pauses
    OUTDATED = "outdated"  # yt-dlp no longer understands the site, or finds no JavaScript runtime: an admin has to act
    REFUSED = "refused"  # the download led to somewhere it may not go


class FetchFailed(DatasetsError):
    """yt-dlp could not bring the video's sound."""

    def __init__(self, message: str, problem: Problem) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True)
class Access:
    """How the site is reached; all of it from the settings."""

    cookies_file: str = ""
    proxy: str = ""
    rate_limit: int = 0  # bytes a second
    sleep_s: float = 0.0  # before each download
    hosts: tuple[str, ...] = network.YOUTUBE_HOSTS
    api_key: str = ""  # of the Data API

    def options(self) -> dict[str, Any]:
        return {
            "quiet": True,
            "no_warnings": True,
            "noprogress": True,
            "cachedir": False,
            "socket_timeout": 20,
            "retries": 3,
            "extractor_retries": 2,
            # Programs that yt-dlp would start (ffmpeg for some streams) resolve and follow addresses by themselves, past our guard.
            "ffmpeg_location": os.devnull,
            "external_downloader": {"default": "native"},
            "allowed_extractors": ["youtube", "youtube:tab", "youtube:playlist"],
            # As a text, so that the file, often a mounted secret, is never written to.
            **({"cookiefile": io.StringIO(Path(self.cookies_file).read_text())} if self.cookies_file else {}),
            **({"proxy": self.proxy} if self.proxy else {}),
            **({"ratelimit": self.rate_limit} if self.rate_limit else {}),
            **({"sleep_interval": self.sleep_s, "max_sleep_interval": 2 * self.sleep_s} if self.sleep_s else {}),
        }


@dataclass(frozen=True)
class Fetched:
    path: Path
    title: str
    artist: str
    licence: str
    channel: str
    info: dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One video of a playlist or a channel."""

    identifier: str
    title: str
    duration_s: float | None


def expand(address: addresses.Address, *, access: Access, most: int) -> tuple[str, list[Entry]]:
    """The title and the videos of a playlist or a channel, in its order, at most `most` of them.

    Raises
    ------
    FetchFailed
        As `fetch` does.
    """
    info = _extract(address.url, access, {"extract_flat": True, "playlistend": most, "ignoreerrors": False}, download=False)
    found = info.get("entries")
    entries = [
        Entry(str(entry["id"]), str(entry.get("title") or ""), _number(entry.get("duration")))
        for entry in (found if isinstance(found, list) else [])
        if isinstance(entry, dict) and addresses.VIDEO_ID.fullmatch(str(entry.get("id") or ""))
    ]
    return str(info.get("title") or address.identifier), entries


def _proxy(access: Access) -> str:
    """The proxy's host. One of another kind is told where to go past our guard, so that it is refused."""
    if not access.proxy:
        return ""
    found = urlsplit(access.proxy)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise FetchFailed(f"FETCH_PROXY is “{found.scheme}://…”: only proxies of http:// and https:// are used.", Problem.REFUSED)
    return found.hostname


OURS = ("https", "http", "http_dash_segments")  # what yt-dlp downloads through our guard, without a program beside it


def fetch(
    identifier: str,
    folder: Path,
    *,
    access: Access,
    max_duration_s: float,
    max_bytes: int,
    age_restricted: bool = True,
    live_recordings: bool = True,
    made_for_kids: bool = True,
    on_progress: Callable[[float, str], None],
) -> Fetched:
    """Download the best audio of one video into `folder`; a part that lies there from an interrupted attempt is continued.

    Raises
    ------
    FetchFailed
        With the reason in words, and its class.
    """

    def report(status: dict[str, Any]) -> None:
        total = status.get("total_bytes") or status.get("total_bytes_estimate")
        if total:
            on_progress(min(1.0, status.get("downloaded_bytes", 0) / total), "Downloading")

    def refuse(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
        why = _policy(info, max_duration_s, age_restricted=age_restricted, live_recordings=live_recordings)
        if why:
            refused.append(why)
        return why

    if not made_for_kids and is_made_for_kids(identifier, access=access):
        raise FetchFailed("The video was not taken: it is made for kids, and the dataset takes no such videos.", Problem.POLICY)
    refused: list[str] = []
    options = {
        "format": "/".join(f"{best}[protocol={protocol}]" for best in ("bestaudio", "best") for protocol in OURS),
        "noplaylist": True,
        "match_filter": refuse,
        "max_filesize": max_bytes,
        "restrictfilenames": True,
        "outtmpl": str(folder / "original.%(ext)s"),
        "progress_hooks": [report],
        "updatetime": False,
    }
    info = _extract(addresses.video(identifier).url, access, options, download=True)
    if refused:
        raise FetchFailed(f"The video was not taken: {refused[0]}.", Problem.POLICY)
    files = [path for path in folder.glob("original.*") if path.suffix not in (".part", ".ytdl")]
    if not files:
        text = f"YouTube sent no sound for video {identifier}, or more than {max_bytes // 1024**2} MB."
        raise FetchFailed(text, Problem.POLICY)
    return Fetched(
        path=files[0],
        title=str(info.get("title") or identifier),
        artist=str(info.get("artist") or info.get("creator") or info.get("channel") or info.get("uploader") or ""),
        licence=str(info.get("license") or ""),
        channel=str(info.get("channel") or info.get("uploader") or ""),
        info=info,
    )


def ask(identifier: str, *, access: Access) -> None:
    """Whether a video can still be fetched, without fetching it. Raises FetchFailed with what stands in the way."""
    _extract(addresses.video(identifier).url, access, {}, download=False)


def is_made_for_kids(identifier: str, *, access: Access) -> bool:
    """Whether its makers say so; False of a video that is not there. YouTube tells it by its Data API alone, yt-dlp does not know.

    Raises
    ------
    FetchFailed
        Without a key, or when the API does not answer: a dataset that takes no such videos takes none of which it is not known.
    """
    if not access.api_key:
        text = "The dataset takes no videos that are made for kids, and YouTube tells which are only to those with a key of its Data API."
        raise FetchFailed(f"{text} An admin sets it as YOUTUBE_API_KEY, or the dataset takes them.", Problem.POLICY)
    from yt_dlp.networking import Request
    from yt_dlp.networking.exceptions import HTTPError

    with _door(replace(access, hosts=(*access.hosts, DATA_API_HOST)), {}) as downloader:
        try:
            answer = downloader.urlopen(Request(DATA_API + identifier, headers={"X-Goog-Api-Key": access.api_key}))
            return _says_for_kids(json.loads(answer.read(DATA_API_BYTES)))
        except (ValueError, RecursionError):
            raise FetchFailed("YouTube's Data API gave an answer that could not be read.", Problem.NETWORK) from None
        except HTTPError as error:
            if error.status >= 500:
                raise
            text = f"YouTube's Data API refused to say whether videos are made for kids (HTTP {error.status})"
            raise FetchFailed(f"{text}: is YOUTUBE_API_KEY right, and its quota not used up?", Problem.BLOCKED) from None


def _says_for_kids(said: Any) -> bool:
    """Raises ValueError for what is no answer of the Data API."""
    items = said.get("items") if isinstance(said, dict) else None
    states = [item.get("status") if isinstance(item, dict) else None for item in items] if isinstance(items, list) else [None]
    if not all(isinstance(state, dict) for state in states):
        raise ValueError("no list of videos with their status")
    return any(state.get("madeForKids") is True for state in states if state)


def _extract(url: str, access: Access, options: dict[str, Any], *, download: bool) -> dict[str, Any]:
    """What yt-dlp says of an address. Raises FetchFailed."""
    with _door(access, options) as downloader:
        return downloader.sanitize_info(downloader.extract_info(url, download=download)) or {}


@contextmanager
def _door(access: Access, options: dict[str, Any]) -> Iterator[Any]:
    """The one door to the site: a yt-dlp that reaches the allowed hosts only. Raises FetchFailed."""
    import yt_dlp

    try:
        with network.only_to(access.hosts, proxy=_proxy(access)), yt_dlp.YoutubeDL(access.options() | options) as downloader:
            yield downloader
    except (yt_dlp.utils.YoutubeDLError, network.ConnectionRefusedByPolicy) as error:
        raise _failure(error) from None


def _number(value: object) -> float | None:
    """What a page of the site claims to be one, if it is."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 else None


def _policy(info: dict[str, Any], max_duration_s: float, *, age_restricted: bool, live_recordings: bool) -> str | None:
    """Why a video is not taken, or None. A stream that is on the air has no end yet, whatever the dataset takes."""
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        return "it is a live stream; only finished recordings are taken"
    if (info.get("was_live") or info.get("live_status") in ("was_live", "post_live")) and not live_recordings:
        return "it is the recording of a live stream, and the dataset takes no such videos"
    if (_number(info.get("duration")) or 0) > max_duration_s:
        return f"it is longer than {max_duration_s / 60:.0f} minutes, the longest that is taken"
    if (_number(info.get("age_limit")) or 0) >= 18 and not age_restricted:
        return "it is age-restricted, and the dataset takes no such videos"
    return None


# What yt-dlp says, and what it means. The first that fits counts.
SIGNS: tuple[tuple[Problem, str], ...] = (
    (Problem.REFUSED, r"not an allowed host|inside a network of its own"),
    (
        Problem.BLOCKED,
        r"not a bot|HTTP Error 429|Too Many Requests|rate.?limited|unusual traffic|captcha|content isn.t available, try again later"
        r"|likely being blocked",
    ),
    (Problem.POLICY, r"live event will begin|\bpremieres? (?:in|will)|offline\b.*\blive|^Offline"),
    (
        Problem.NETWORK,
        r"urlopen error|HTTPS?Connection|connection (?:was )?(?:reset|refused|aborted|broken|timed|closed)|failed to (?:resolve|establish)"
        r"|name resolution|name or service|\btimed? ?out\b|TransportError|HTTP Error 5\d\d|IncompleteRead|bytes read|\[Errno|reset by peer"
        r"|\bSSL\b|\bEOF\b|server disconnected|remote end closed",
    ),
    (
        Problem.OUTDATED,
        r"JavaScript runtime|signature extraction|nsig|PO Token|Unable to extract|Requested format is not available|report this issue"
        r"|Only images are available|HTTP Error 403",
    ),
    (
        Problem.GONE,
        r"private|unavailable|live event has ended|requires payment|\bDRM\b|not available|removed|terminated|does not exist|\bage\b|age.restricted|members|copyright|country"
        r"|\bgeo|sign in|premieres|HTTP Error 4(?:04|10)",
    ),
)


def _failure(error: BaseException) -> FetchFailed:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).removeprefix("ERROR: ")
    text = re.sub(r"; please report this issue.*", "; please report this issue", text, flags=re.DOTALL)
    text = re.sub(r"^(?:\[[\w:]+\] (?:[\w-]+: )?)+", "", text)  # an id may read like anything
    if "No space left" in text:
        return FetchFailed("There is no space left on the worker's disk for the download.", Problem.NETWORK)
    said = getattr(error, "exc_info", None) or (None, None)
    # What yt-dlp expects to meet says something of the video; what it does not expect, of yt-dlp.
    otherwise = Problem.GONE if getattr(said[1], "expected", False) else Problem.OUTDATED
    problem = next((kind for kind, sign in SIGNS if re.search(sign, text, re.IGNORECASE)), otherwise)
    words = {
        Problem.NETWORK: "YouTube was not reached; is this machine online?",
        Problem.BLOCKED: "YouTube asks whether this is a person, or limits the number of videos",
        Problem.OUTDATED: "yt-dlp does not understand YouTube's answer. An admin should look at the ingest page: is it out of date?",
    }
    text = re.sub(r"HTTPS?Connection\w*\(.*?\): ?|\s*\(caused by .*$", "", text, flags=re.DOTALL)
    return FetchFailed(f"{words.get(problem, 'YouTube could not be fetched')}: {_whole_words(text, 300)}", problem)


def _whole_words(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} …"
