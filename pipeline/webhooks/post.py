"""One attempt to deliver a message: a signed POST, and what came of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2

from pipeline import VERSION
from pipeline.errors import BadOptionsError, CallbackRefusedError
from pipeline.webhooks.addresses import parse
from pipeline.webhooks.schedule import retry_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.webhooks.addresses import Addresses
    from pipeline.webhooks.secret import Signer

WHOLE_S = 20.0  # from the first packet to the status line, whatever drips in between
CONNECT_S = 5.0  # to one of several addresses
SAID_CHARS = 200  # of an error: it may quote what a receiver sent


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt: no error when the receiver has it."""

    error: str | None = None
    gone: bool = False  # it wants no more
    wait: float = 0.0  # seconds that it asks for


class Post:
    """Sends messages to addresses that may be called.

    A name is resolved once an attempt, and the connection goes to the address that was judged, whatever the name
    resolves to a moment later; certificate and Host are still the name's. No redirect is followed, no proxy
    used, and of the answer only the status line and headers are read: 100 kB at most.
    """

    def __init__(self, addresses: Addresses, signer: Signer) -> None:
        self._addresses = addresses
        self._signer = signer
        self._tls = httpx2.create_ssl_context()

    def send(self, url: str, message_id: str, body: bytes, now: float) -> Answer:
        """Deliver a message at `now`, seconds since the epoch, which its signature holds."""
        try:
            parsed = parse(url)
            addresses = self._addresses.of(parsed)
        except (BadOptionsError, CallbackRefusedError) as error:
            return Answer(str(error))
        except OSError as error:
            return Answer(f"the host cannot be resolved: {error.strerror or error}")
        headers = self._signer.headers(message_id, body, now)
        try:
            response = asyncio.run(self._first(parsed, addresses, headers, body))
        except TimeoutError:
            return Answer(f"no answer within {WHOLE_S:.0f} s")
        except httpx2.HTTPError as error:
            return Answer(f"{type(error).__name__}: {error}".replace("\0", "")[:SAID_CHARS])
        return judge(response, now)

    async def _first(
        self, url: httpx2.URL, addresses: Sequence[str], headers: dict[str, str], body: bytes
    ) -> httpx2.Response:
        """Return the answer of the first address that can be connected to.

        Asynchronous for the one deadline over everything: httpx's own hold for each read, and a receiver that
        sends a byte now and then would keep us for days.
        """
        timeout = httpx2.Timeout(WHOLE_S, connect=CONNECT_S)
        async with (
            asyncio.timeout(WHOLE_S),
            httpx2.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client,
        ):
            for address in addresses[:-1]:
                try:
                    return await _ask(client, url, address, headers, body)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
            return await _ask(client, url, addresses[-1], headers, body)


def judge(response: httpx2.Response, now: float) -> Answer:
    """Say what a status means (Standard Webhooks 1.0.0, "Delivery success and failure")."""
    status = response.status_code
    if response.is_success:
        return Answer()
    if status == HTTPStatus.GONE:
        return Answer("answered 410: it wants no more of this", gone=True)
    if response.is_redirect:
        return Answer(f"answered {status}: redirects are not followed")
    return Answer(f"answered {status}", wait=retry_after(response.headers.get("retry-after"), now))


async def _ask(
    client: httpx2.AsyncClient, url: httpx2.URL, address: str, headers: dict[str, str], body: bytes
) -> httpx2.Response:
    request = client.build_request(
        "POST",
        url.copy_with(host=address),
        content=body,
        headers={
            **headers,
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": f"whisper-transcription/{VERSION}",
        },
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )
    response = await client.send(request, stream=True)
    await response.aclose()
    return response
