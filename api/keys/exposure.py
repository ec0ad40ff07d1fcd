"""What is to be said where the API can be reached from other machines."""

from __future__ import annotations

from ipaddress import ip_address


def warning(host: str, *, keys: bool) -> str | None:
    """Return what anybody who runs the service must know about the address it listens on."""
    if _is_loopback(host):
        return None
    if keys:
        return (
            f"the API listens on {host} without encryption: keys and transcripts can be read on their way; "
            "put a proxy that speaks TLS in front of it"
        )
    return (
        f"ANYBODY who reaches {host} may submit, read and erase transcripts: make a key with "
        "'whisper-transcription keys api add' and start with --api_keys_file, or listen on 127.0.0.1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
