"""Where a download may connect to: allowed hosts only, and never an address inside the own network.

The check sits at name resolution, the one door that every connection goes through: after each redirect it is asked again, and the
addresses that were checked are the ones that are connected to, so that a name cannot change its address in between. Behind a proxy, which
resolves the names itself, it sits where the proxy is told where to go.
"""

import http.client
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

YOUTUBE_HOSTS = ("youtube.com", "youtu.be", "googlevideo.com", "ytimg.com", "youtube-nocookie.com", "ggpht.com")


class ConnectionRefusedByPolicy(OSError):
    """The download wanted to connect to somewhere it may not."""


def is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether `host` is one of the allowed hosts or lies under one."""
    name = host.lower().rstrip(".")
    return any(name == one or name.endswith(f".{one}") for one in allowed)


# What the standard library takes for the open internet and is not: Azure's metadata service, and site-local addresses of old.
INSIDE = (ipaddress.ip_network("168.63.129.16/32"), ipaddress.ip_network("fec0::/10"))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not private, loopback, link-local, metadata, multicast or reserved."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    if any(ip in network for network in INSIDE if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def resolve(*args: Any, **kwargs: Any) -> list[Any]:
    """The system's name resolution."""
    return _getaddrinfo(*args, **kwargs)


_getaddrinfo = socket.getaddrinfo
_guard = threading.local()


def _guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> list[Any]:
    allowed = getattr(_guard, "allowed", None)
    if allowed is None:
        return _getaddrinfo(host, *args, **kwargs)
    name = host.decode("idna") if isinstance(host, bytes) else str(host)
    if not is_allowed(name, allowed):
        raise ConnectionRefusedByPolicy(f"the download led to {name}, which is not an allowed host")
    answers = resolve(host, *args, **kwargs)
    if name == getattr(_guard, "proxy", ""):
        return answers  # an admin named it: it may well stand in the own network
    if inside := [answer[4][0] for answer in answers if not is_public(answer[4][0])]:
        raise ConnectionRefusedByPolicy(f"{name} has the address {inside[0]}, which lies inside a network of its own")
    return answers


_set_tunnel, _putrequest = http.client.HTTPConnection.set_tunnel, http.client.HTTPConnection.putrequest


def _guard_name(host: str) -> None:
    """Of a host that a proxy is to connect to: it is asked by name, and the proxy resolves it."""
    allowed = getattr(_guard, "allowed", None)
    if allowed is not None and not is_allowed(host, allowed):
        raise ConnectionRefusedByPolicy(f"the download led to {host}, which is not an allowed host")


def _guarded_set_tunnel(connection: http.client.HTTPConnection, host: str, *args: Any, **kwargs: Any) -> None:
    _guard_name(host.strip("[]"))
    _set_tunnel(connection, host, *args, **kwargs)


def _guarded_putrequest(connection: http.client.HTTPConnection, method: str, url: str, *args: Any, **kwargs: Any) -> None:
    if method != "CONNECT" and not url.startswith("/"):  # the whole address goes to proxies alone
        _guard_name(urlsplit(url).hostname or "")
    _putrequest(connection, method, url, *args, **kwargs)


@contextmanager
def only_to(allowed: tuple[str, ...], *, proxy: str = "") -> Iterator[None]:
    """While it lasts, this thread connects to allowed hosts only, by way of the host `proxy` if there is one. Other threads are left
    alone.
    """
    socket.getaddrinfo = _guarded_getaddrinfo
    http.client.HTTPConnection.set_tunnel = _guarded_set_tunnel  # type: ignore[method-assign,assignment]
    http.client.HTTPConnection.putrequest = _guarded_putrequest  # type: ignore[method-assign,assignment]
    _guard.allowed, _guard.proxy = (*allowed, proxy) if proxy else allowed, proxy
    try:
        yield
    finally:
        _guard.allowed, _guard.proxy = None, ""
