"""The types of settings: each parses a text of the environment, and gives it the one form in which the code uses it."""

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from dashboard.database import usable_url
from tidewire.addresses import host_name, host_port, origin_setting, parse_all
from tidewire.redis_url import redis_url

# First path segments that are used by pages, sockets and static files.
TAKEN_PATHS: Final = frozenset(
    [
        "documents",
        "drafts",
        "favicon.ico",
        "healthz",
        "login",
        "logout",
        "metrics",
        "new",
        "notifications",
        "operations",
        "people",
        "ready",
        "readyz",
        "session",
        "signup",
        "static",
        "ws",
    ]
)


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in (part.strip() for part in value.split(",")) if part)
    return value


def _each(parse: Callable[[str], str]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda texts: tuple(dict.fromkeys(parse_all(parse, texts)))


def _allowed_host(text: str) -> str:
    """Normalise a host as Django compares it: `.example.com` includes its subdomains, `*` is any host."""
    if text == "*":
        return text
    if text.startswith("*."):
        raise ValueError("a name with its subdomains is written .example.com")
    dot = "." if text.startswith(".") else ""
    return dot + host_name(text.removeprefix(".").removesuffix("."))


def _address(text: str) -> str:
    host_port(text)
    return text


def _bind(text: str) -> str:
    if text.startswith("unix:/"):
        return text
    host, port = host_port(text)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bindable_host(text: str) -> str:
    return host_name(text).strip("[]")


def _free_path(text: str) -> str:
    if text.removesuffix("/") in TAKEN_PATHS:
        raise ValueError(f"/{text} is another page's address")
    return text


def _redis_url(text: str) -> str:
    # A host is required only without Sentinels, so it is checked later.
    return redis_url(text, host_needed=False)


CommaList = Annotated[tuple[str, ...], BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=65535)]
AllowedHosts = Annotated[CommaList, AfterValidator(_each(_allowed_host))]
Addresses = Annotated[CommaList, AfterValidator(_each(_address))]
Origins = Annotated[CommaList, AfterValidator(_each(origin_setting))]
Bind = Annotated[str, AfterValidator(_bind)]
BindableHost = Annotated[str, AfterValidator(_bindable_host)]
FreePath = Annotated[str, AfterValidator(_free_path)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
DatabaseUrl = Annotated[str, AfterValidator(usable_url)]
