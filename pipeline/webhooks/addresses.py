"""Which addresses may be called: public ones, and those that the operator listed.

What counts is where a connection would go, so names are judged by what they resolve to, and numbers by what the
system makes of them: 127.1, 0x7f000001, ::ffff:127.0.0.1 and 64:ff9b::7f00:1 are all 127.0.0.1.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING

import httpx2

from pipeline.errors import BadOptionsError, CallbackRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2000  # characters: every database indexes so many
LARGEST_PORT = 2**16 - 1
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is in its last 32 bits


class Addresses:
    """Public addresses, and the hosts, addresses and networks of a comma list (`--callback_allow`)."""

    def __init__(self, listed: str = "") -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for each in filter(None, map(str.strip, listed.split(","))):
            self._list(each)

    def check(self, url: str) -> None:
        """Raise BadOptionsError for what can never be called; where a name leads is known once it is resolved."""
        parsed = parse(url)
        try:
            numbers = _resolve(parsed, socket.AI_NUMERICHOST)
        except OSError:
            return
        if not self._allowed(parsed, numbers):
            raise BadOptionsError(f"callback_url: {CallbackRefusedError()}")

    def of(self, url: httpx2.URL) -> list[str]:
        """Return the addresses of a URL's host that may be called, in the order to try them.

        Raises OSError when the name is not known now, CallbackRefusedError when none of them may be called.
        """
        allowed = self._allowed(url, _resolve(url))
        if not allowed:
            raise CallbackRefusedError
        return allowed

    def _list(self, each: str) -> None:
        try:
            self._networks.append(ipaddress.ip_network(each, strict=False))
        except ValueError:
            if not _NAME.fullmatch(each):
                raise BadOptionsError(
                    f"callback_allow: {each!r} is neither a host nor an address or network such as 10.0.0.0/8"
                ) from None
            self._names.add(each.lower().rstrip("."))

    def _allowed(self, url: httpx2.URL, addresses: Iterable[str]) -> list[str]:
        named = not self._names.isdisjoint(
            name.rstrip(".") for name in (url.host, url.raw_host.decode("ascii"))
        )
        return [each for each in addresses if named or self._may(ipaddress.ip_address(each))]

    def _may(self, address: Address) -> bool:
        real = _within(address)
        return _is_public(real) or any(
            each in network for network in self._networks for each in (address, real)
        )


def parse(url: str) -> httpx2.URL:
    """Return a callback's URL. Raises BadOptionsError, which does not quote it: it may hold a secret."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise BadOptionsError("callback_url: this is no URL") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadOptionsError("callback_url: give an http or https address")
    if len(url) > LONGEST_URL or (parsed.port is not None and not 0 < parsed.port <= LARGEST_PORT):
        raise BadOptionsError(
            f"callback_url: it is longer than {LONGEST_URL} characters or its port is wrong"
        )
    return parsed


def _resolve(url: httpx2.URL, flags: int = 0) -> list[str]:
    """Return the addresses of a host, once each, in the system's order (RFC 6724)."""
    try:
        found = socket.getaddrinfo(url.raw_host.decode("ascii"), None, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:  # a label of more than 63 characters
        raise OSError("no such name") from error
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


def _within(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address leads to, where it is one of those."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: Address) -> bool:
    unfit = address.is_multicast or address.is_reserved or getattr(address, "is_site_local", False)
    return address.is_global and not unfit
