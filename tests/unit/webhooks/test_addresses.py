"""Which addresses callbacks may reach: public ones and those listed, whatever they are spelled like."""

import socket
from typing import Any

import pytest

from pipeline.errors import BadOptionsError, CallbackRefusedError
from pipeline.webhooks.addresses import Addresses, parse

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # where clouds tell secrets
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - refused, not bound
    "255.255.255.255",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "198.18.0.1",
    "203.0.113.9",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
]
DISGUISED = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "017700000001",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[0:0:0:0:0:0:0:1]",
]
PUBLIC = ["8.8.8.8", "134744072", "[2606:4700:4700::1111]", "[64:ff9b::808:808]", "[::ffff:8.8.8.8]"]


@pytest.mark.parametrize("host", PRIVATE + DISGUISED)
def test_what_is_not_public_is_refused_at_once(host: str) -> None:
    """Also where the number is written in another way."""
    with pytest.raises(BadOptionsError):
        Addresses().check(f"http://{host}:8080/hook")


@pytest.mark.parametrize("host", PUBLIC)
def test_what_is_public_may_be_called(host: str) -> None:
    Addresses().check(f"https://{host}/hook")


@pytest.mark.parametrize(
    ("listed", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.0/8", "2130706433"),
        ("10.0.0.0/8, 192.168.0.0/16", "192.168.7.7"),
        ("10.1.2.3/8", "10.9.9.9"),
        ("::1", "[::1]"),
        ("fd00::/8", "[fd12::1]"),
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("10.0.0.1,10.0.0.2,", "10.0.0.2"),
    ],
)
def test_what_is_listed_may_be_called(listed: str, host: str) -> None:
    Addresses(listed).check(f"http://{host}/")


@pytest.mark.parametrize(
    ("listed", "host"),
    [
        ("10.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.2"),
        ("localhost", "127.0.0.1"),
        ("::1", "127.0.0.1"),
    ],
)
def test_a_list_lets_nothing_else_through(listed: str, host: str) -> None:
    with pytest.raises(BadOptionsError):
        Addresses(listed).check(f"http://{host}/")


@pytest.mark.parametrize("listed", ["http://hook", "hook:80", "10.0.0.0/99", "a b", "*", "10.0.0.0/8;::1"])
def test_what_is_no_host_or_network_cannot_be_listed(listed: str) -> None:
    """It is said at the start, not when a callback fails."""
    with pytest.raises(BadOptionsError, match="neither a host nor"):
        Addresses(listed)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "//example.org/",
        "example.org",
        "http://",
        "http:///path",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://exa\nmple.org/",
        "http://example.org/" + "a" * 2000,
        "",
    ],
)
def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    """Without quoting it: it may hold a secret."""
    with pytest.raises(BadOptionsError) as caught:
        Addresses().check(url)
    assert not url or url not in str(caught.value)


class Names:
    """A resolver that knows some names."""

    def __init__(self, **known: list[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, _port: object, **more: Any) -> list[tuple[Any, ...]]:
        if more["flags"]:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in self.known[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names(
        inside_example=["10.0.0.5"],
        outside_example=["93.184.215.14"],
        both_example=["10.0.0.5", "93.184.215.14", "::1", "93.184.215.14"],
    )
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return names


def test_a_name_is_judged_by_where_it_leads(names: Names) -> None:
    """When it is called; what it says today it need not say tomorrow."""
    addresses = Addresses()
    addresses.check("http://inside.example/")
    with pytest.raises(CallbackRefusedError):
        addresses.of(parse("http://inside.example/"))
    assert addresses.of(parse("http://outside.example/")) == ["93.184.215.14"]
    assert names.asked == ["inside.example", "outside.example"]


@pytest.mark.usefixtures("names")
def test_of_several_addresses_only_those_that_may_be_called_are() -> None:
    """Each once, in the order of the resolver."""
    assert Addresses().of(parse("http://both.example/")) == ["93.184.215.14"]
    assert Addresses("10.0.0.0/8").of(parse("http://both.example/")) == ["10.0.0.5", "93.184.215.14"]


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("listed", ["inside.example", "INSIDE.example.", "x, inside.example"])
def test_a_listed_name_may_lead_anywhere(listed: str) -> None:
    assert Addresses(listed).of(parse("http://Inside.Example:8080/")) == ["10.0.0.5"]


@pytest.mark.usefixtures("names")
def test_a_listed_name_lists_no_other() -> None:
    with pytest.raises(CallbackRefusedError):
        Addresses("example").of(parse("http://inside.example/"))


@pytest.mark.usefixtures("names")
def test_a_name_that_nobody_knows_is_an_error_of_the_moment() -> None:
    """It may be known later."""
    for host in ("nowhere.example", "a" * 64 + ".example"):
        with pytest.raises(OSError, match="ame"):
            Addresses().of(parse(f"http://{host}/"))
