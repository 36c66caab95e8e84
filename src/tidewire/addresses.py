"""Parsers for addresses: origins, host names, `host:port`, server URLs. No I/O.

Each function returns the normalised form or raises `ValueError`. The message describes the expected form and never
contains a URL, because the URL's password would appear in a log.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

T = TypeVar("T")

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LABELS: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NAME_LENGTH: Final = 253
# IDNA 2003, which Python implements, and IDNA 2008, which browsers use, encode these characters differently.
_DEVIATIONS: Final = "ßς\u200c\u200d"
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROLS: Final = re.compile(r"[\x00-\x20\x7f\ufeff]")
_ESCAPES: Final = "@ as %40, / as %2F, # as %23, ? as %3F, % as %25, [ as %5B, ] as %5D"


def parse_all(parse: Callable[[str], T], texts: Iterable[str]) -> tuple[T, ...]:
    """Parse each text. Raises `ValueError`, which quotes the invalid text if it contains no password."""
    parsed = []
    for number, text in enumerate(texts, 1):
        try:
            parsed.append(parse(text))
        except ValueError as error:
            shown = f"number {number}" if "@" in text else repr(text)
            raise ValueError(f"{shown}: {error}") from None
    return tuple(parsed)


def host_name(text: str) -> str:
    """Parse a host name or address as it appears in a Host header: lower case, IDNA, IPv6 addresses in brackets."""
    if ":" in text:
        bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        try:
            return f"[{ipaddress.IPv6Address(bare)}]"
        except ValueError:
            raise ValueError("a host is a name or an address, without a scheme, a port or a path") from None
    if any(character in _DEVIATIONS for character in text):
        raise ValueError("a host with ß, ς or a joiner must be written in its encoded form, xn--...")
    try:
        name = text.encode("idna").decode().lower() if not text.isascii() else text.lower()
    except UnicodeError:
        raise ValueError("a host name has parts of 1 to 63 characters") from None
    if len(name) > _NAME_LENGTH or not _LABELS.fullmatch(name):
        raise ValueError("a host is a name or an address, without a scheme, a port, a path or spaces")
    if name.rpartition(".")[2].isdecimal():
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise ValueError("an IPv4 address has four numbers from 0 to 255") from None
    return name


def host_port(text: str) -> tuple[str, int]:
    """Parse `name:port`, `address:port` or `[IPv6 address]:port`; the host is returned without brackets."""
    host, colon, port = text.rpartition(":")
    if not (host and colon):
        raise ValueError("host:port is expected")
    if ":" in host and not host.startswith("["):
        raise ValueError("an IPv6 address stands in brackets before its port: [::1]:8000")
    return host_name(host).strip("[]"), port_number(port)


def port_number(text: str) -> int:
    """Parse a port, from 1 to 65535."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError("a port is a number from 1 to 65535")
    return int(text)


def origin(text: str) -> str:
    """Parse an origin as browsers send it: scheme, host, and the port if it is not the scheme's default.

    Upper case, the default port and a `/` at the end are normalised. A trailing dot of the host is kept, because
    browsers treat such a host as a different one.
    """
    if text == "null" or "://" not in text:
        raise ValueError("an origin begins with https:// or http://")
    if "*" in text:
        raise ValueError("an origin has no wildcard: name each one")
    if _CONTROLS.search(text):
        raise ValueError("an origin has no spaces")
    parts = _split(text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("an origin begins with https:// or http://")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc or text.endswith(("?", "#")):
        raise ValueError("an origin is scheme, host and port, without a path, a query or a user")
    name = parts.hostname or ""
    dot = "." if name.endswith(".") and not name.startswith(".") else ""
    host = host_name(f"[{name}]" if ":" in name else name.removesuffix("."))
    port = _port(parts)
    if port is None or port == DEFAULT_PORTS[parts.scheme]:
        return f"{parts.scheme}://{host}{dot}"
    return f"{parts.scheme}://{host}{dot}:{port}"


def origin_setting(text: str) -> str:
    """Parse an origin that a project allows: like `origin`, without a trailing dot."""
    parsed = origin(text)
    if re.search(r"\.(:\d+)?$", parsed):
        raise ValueError("an origin's host has no dot at its end")
    return parsed


def server_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """Parse a URL with one of these schemes. User and password must be percent-encoded."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"it must begin with {' or '.join(f'{each}://' for each in schemes)}")
    if _CONTROLS.search(text):
        raise ValueError("it has a space or a control character inside")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and "@" in rest:
        raise ValueError(f"its user or password must be percent-encoded: {_ESCAPES}")
    user, _, address = authority.rpartition("@")
    if "@" in user or "[" in user or "]" in user or _BAD_ESCAPE.search(authority):
        raise ValueError(f"its user or password must be percent-encoded: {_ESCAPES}")
    parts = _split(text)
    if "#" in text:
        raise ValueError(f"it has a #, which a password must have in its encoded form: {_ESCAPES}")
    # PostgreSQL accepts the directory of a Unix socket as a host.
    if address and not address.upper().startswith("%2F"):
        _check_address(address)
    return parts


def _check_address(address: str) -> None:
    if not address.startswith("[") and address.count(":") > 1:
        raise ValueError("it names one server, and an IPv6 address stands in brackets: [::1]:6379")
    if ":" in address and not address.endswith("]"):
        host_port(address)
    else:
        host_name(address)


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError("it is no URL: an IPv6 address stands in brackets") from None


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        raise ValueError("a port is a number from 1 to 65535") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("a port is a number from 1 to 65535")
    return port
