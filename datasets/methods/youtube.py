"""YouTube through yt-dlp, as a library.

Only the video id is taken from a pasted address; the address that is fetched is rebuilt from it, so no other host can be
reached. Playlists and channels are expanded by the ingest job, not here.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from datasets.errors import DatasetsError

HOSTS = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "youtu.be", "www.youtube-nocookie.com"})
VIDEO_ID = re.compile(r"[0-9A-Za-z_-]{11}")
PATHS_WITH_ID = ("shorts", "embed", "live", "v", "e")


class AddressRefused(DatasetsError):
    """Not the address of one YouTube video."""


class FetchFailed(DatasetsError):
    """yt-dlp could not bring the video's sound; `permanent` says whether trying again is useless."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True)
class Fetched:
    path: Path
    title: str
    artist: str
    licence: str
    info: dict[str, Any]


def video_id(address: str) -> str:
    """The eleven characters that name the video in any common form of its address.

    Raises
    ------
    AddressRefused
        Another host, or an address that names no single video.
    """
    try:
        parts = urlsplit(address.strip() if "://" in address else f"https://{address.strip()}")
        host = (parts.hostname or "").lower()
    except ValueError:
        raise AddressRefused(f"“{address}” is not an address.") from None
    if parts.scheme not in ("http", "https") or host not in HOSTS:
        raise AddressRefused(
            f"“{address}” is not a YouTube address. Paste the address of a video, such as https://www.youtube.com/watch?v=…"
        )
    segments = [segment for segment in parts.path.split("/") if segment]
    if host == "youtu.be":
        candidate = segments[0] if segments else ""
    elif segments[:1] == ["watch"]:
        candidate = parse_qs(parts.query).get("v", [""])[0]
    elif len(segments) >= 2 and segments[0] in PATHS_WITH_ID:
        candidate = segments[1]
    else:
        candidate = ""
    if not VIDEO_ID.fullmatch(candidate):
        raise AddressRefused(f"“{address}” names no single video. Open the video itself and copy its address.")
    return candidate


def watch_url(identifier: str) -> str:
    return f"https://www.youtube.com/watch?v={identifier}"


def fetch(
    identifier: str, folder: Path, *, max_duration_s: float, max_bytes: int, on_progress: Callable[[float, str], None]
) -> Fetched:
    """Download the best audio of one video into `folder`.

    Raises
    ------
    FetchFailed
        With the reason in words, and whether it is permanent (gone, private, too long) or may pass (network).
    """
    import yt_dlp

    def report(status: dict[str, Any]) -> None:
        total = status.get("total_bytes") or status.get("total_bytes_estimate")
        if total:
            on_progress(min(1.0, status.get("downloaded_bytes", 0) / total), "Downloading")

    def refuse(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
        why = _policy(info, max_duration_s)
        if why:
            refused.append(why)
        return why

    refused: list[str] = []
    options: dict[str, Any] = {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "format": "bestaudio/best",
        "allowed_extractors": ["youtube"],
        "noplaylist": True,
        "match_filter": refuse,
        "max_filesize": max_bytes,
        "restrictfilenames": True,
        "outtmpl": str(folder / "original.%(ext)s"),
        "socket_timeout": 20,
        "retries": 3,
        "progress_hooks": [report],
        "cachedir": False,
        "updatetime": False,
    }
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            info = downloader.extract_info(watch_url(identifier), download=True)
            info = downloader.sanitize_info(info) or {}
    except yt_dlp.utils.DownloadError as error:
        raise _failure(error) from None
    if refused:
        raise FetchFailed(f"The video was not taken: {refused[0]}.", permanent=True)
    files = [path for path in folder.glob("original.*") if path.suffix not in (".part", ".ytdl")]
    if not files:
        raise FetchFailed(f"YouTube sent no sound for video {identifier} (or more than {max_bytes // 1024**2} MB).", permanent=True)
    return Fetched(
        path=files[0],
        title=str(info.get("title") or identifier),
        artist=str(info.get("artist") or info.get("creator") or info.get("channel") or info.get("uploader") or ""),
        licence=str(info.get("license") or ""),
        info=info,
    )


def _policy(info: dict[str, Any], max_duration_s: float) -> str | None:
    """Why a video is not taken, or None."""
    if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        return "it is a live stream; only finished recordings are taken"
    if (info.get("duration") or 0) > max_duration_s:
        return f"it is longer than {max_duration_s / 60:.0f} minutes, the longest that is taken"
    return None


def _failure(error: Any) -> FetchFailed:
    """Tell a verdict of YouTube (final) from a broken line (worth another try)."""
    cause = error.exc_info[1] if getattr(error, "exc_info", None) else None
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).removeprefix("ERROR: ")
    if any(sign in text for sign in ("urlopen", "Connection", "resolve", "timed out", "TransportError")):
        return FetchFailed(
            "YouTube could not be fetched: it was not reached. Is this machine online? Try again later.", permanent=False
        )
    permanent = bool(getattr(cause, "expected", False)) and "HTTP Error 5" not in text and "timed out" not in text
    return FetchFailed(f"YouTube could not be fetched: {text[:300]}", permanent=permanent)
