"""The typed reader of the environment: all settings that differ between deployments, read once at start.

`.env.example` is generated from these fields. A missing or invalid value stops the start, and the error names it.
"""

import difflib
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from dashboard.database import usable_url, why_not_writable
from tidewire.addresses import host_name, host_port, origin_setting, parse_all
from tidewire.redis_url import redis_url

ROOT: Final = Path(__file__).resolve().parents[2]
PREFIX: Final = "TIDEWIRE_"
SECRETS_DIR: Final = f"{PREFIX}SECRETS_DIR"

# Values that are required in production and have a default in development. The key is public, so production must refuse
# it.
DEVELOPMENT: Final[dict[str, Any]] = {
    "secret_key": "development-only-key-that-everybody-can-read-in-the-repository",
    "allowed_hosts": "localhost,127.0.0.1",
    "redis_url": "redis://127.0.0.1:18379/0",
    "database_url": f"sqlite:///{ROOT / 'var' / 'tidewire.sqlite3'}",
    "secure_cookies": False,
    "log_format": "text",
}
# Django's own criterion for a strong key (`check --deploy`, security.W009).
SECRET_KEY_MIN_CHARS: Final = 50
NEW_KEY: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
# Characters that editors, other systems and `echo` may add around a value; no setting begins or ends with them.
SURROUNDING_CHARACTERS: Final = "\ufeff \t\r\n\v\f"
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
        "readyz",
        "session",
        "signup",
        "static",
        "ws",
    ]
)
# A name this similar to a setting's counts as a misspelling; for difflib, 1 is the same name.
MISSPELLING_SIMILARITY: Final = 0.8


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


class Env(BaseModel):
    # Any value may be a secret, so values must not appear in errors or representations.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    environment: Literal["development", "production"] = Field(
        default="production",
        description="development gives every required variable a default for one machine; production has none.",
    )
    debug: bool = Field(default=False, description="Tracebacks in pages and unhashed static files; development only.")
    secret_key: SecretStr = Field(description=f"Signs sessions and tickets; secret. Make one: {NEW_KEY}")
    secret_key_fallbacks: SecretStr = Field(
        default=SecretStr(""),
        description="Other keys whose signatures are valid, with commas between them; secret. To rotate without a "
        "logout: first add the new key here in every service, then exchange the two, and remove the old one two "
        "weeks later.",
    )
    allowed_hosts: Annotated[CommaList, AfterValidator(_each(_allowed_host))] = Field(
        min_length=1, description="Host names that pages are served under, with commas between them."
    )
    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(
        repr=False,
        description="The Redis that carries events and presence: redis://user:password@host:6379/0; user and password "
        "are percent-encoded.",
    )
    redis_sentinels: Annotated[CommaList, AfterValidator(_each(_address))] = Field(
        default=(),
        description="host:port of each Redis Sentinel, with commas between them. They name the primary; "
        f"{PREFIX}REDIS_URL then gives user, password, database and TLS, and its host is not used. Empty: no Sentinel.",
    )
    redis_master: str = Field(
        default="mymaster", min_length=1, description="The name of the primary in the Sentinels' configuration."
    )
    redis_sentinel_password: SecretStr = Field(
        default=SecretStr(""), description="The Sentinels' own password, if they require one; secret."
    )
    database_url: Annotated[str, AfterValidator(usable_url)] = Field(
        repr=False,
        description="The database: postgres://user:password@host:5432/name or sqlite:////path; user and password are "
        "percent-encoded.",
    )
    database_connect_seconds: int = Field(
        default=3, ge=2, le=60, description="How long a connection to PostgreSQL may take to open; at least 2."
    )
    database_statement_seconds: float = Field(
        default=5,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="How long PostgreSQL may take for one statement; then it counts as unavailable, and a page says "
        "so. 0: no limit, as for commands of manage.py other than relay.",
    )
    allowed_origins: Annotated[CommaList, AfterValidator(_each(origin_setting))] = Field(
        default=(),
        description="Public origins (https://docs.example.com) that may post forms and open sockets; "
        "empty: the request's own host only.",
    )
    signup: bool = Field(default=False, description="Whether visitors may make an account for themselves.")
    admin_path: Annotated[str, AfterValidator(_free_path)] = Field(
        default="admin/",
        pattern=r"^[a-z0-9-]{1,50}/$",
        description="Where Django's admin is, with a slash at its end; another word only hides it from scanners.",
    )
    static_root: Path = Field(
        default=ROOT / "var" / "static", description="Where collectstatic puts the static files that nginx serves."
    )
    secure_cookies: bool = Field(
        default=True, description="Cookies over HTTPS only, redirect to HTTPS, HSTS. Off only where there is no TLS."
    )
    web_bind: Annotated[str, AfterValidator(_bind)] = Field(
        default="127.0.0.1:18100", description="Where Gunicorn listens: host:port, [IPv6 address]:port or unix:/path."
    )
    web_workers: int = Field(default=2, ge=1, le=64, description="Gunicorn processes of one web service.")
    web_threads: int = Field(default=8, ge=1, le=256, description="Requests that one Gunicorn process serves at once.")
    node_name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Name of this process in logs, and of a ws process in presence and metrics; unique among the nodes "
        "of one Redis. Empty: host name and process id.",
    )
    admin_host: Annotated[str, AfterValidator(_bindable_host)] = Field(
        default="127.0.0.1", description="Where a ws process serves health and metrics: an address, IPv6 too."
    )
    admin_port: Port = Field(default=18300, description="The port for it; never behind the public proxy.")
    ws_drain_seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="How long a stopping ws process takes to hand its sockets over.",
    )
    session_check_seconds: float = Field(
        default=300,
        ge=1,
        le=86400,
        allow_inf_nan=False,
        description="Within this a session that ended without an event (expired, deleted by hand) closes its sockets.",
    )
    connections_per_node: int = Field(
        default=10_000, ge=1, le=100_000, description="Sockets that a ws process takes; more are sent to another."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    log_format: Literal["text", "json"] = Field(default="json", description="text for people, json for collectors.")

    @model_validator(mode="before")
    @classmethod
    def _development_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        return DEVELOPMENT | values if values.get("environment") == "development" else values

    @model_validator(mode="after")
    def _values_agree(self) -> Self:
        if not self.redis_sentinels:
            try:
                redis_url(self.redis_url)
            except ValueError as error:
                raise ValueError(f"{PREFIX}REDIS_URL is invalid: {error}") from None
        plain = [each for each in self.allowed_origins if not each.startswith("https://")]
        if self.secure_cookies and plain:
            raise ValueError(
                f"{PREFIX}ALLOWED_ORIGINS has {plain[0]}, whose pages would get no cookie: {PREFIX}SECURE_COOKIES is on"
                ". Write https://, or turn that off where there is no TLS"
            )
        return self

    @property
    def fallbacks(self) -> list[str]:
        """The keys of `secret_key_fallbacks`."""
        keys = self.secret_key_fallbacks.get_secret_value().split(",")
        return [key.strip() for key in keys if key.strip()]

    @model_validator(mode="after")
    def _production_is_no_development(self) -> Self:
        if self.environment == "development":
            return self
        key = self.secret_key.get_secret_value()
        if key == DEVELOPMENT["secret_key"]:
            raise ValueError(f"{PREFIX}SECRET_KEY is the public development key; make one: {NEW_KEY}")
        if len(key) < SECRET_KEY_MIN_CHARS:
            raise ValueError(f"{PREFIX}SECRET_KEY has {len(key)} characters, needs {SECRET_KEY_MIN_CHARS}: {NEW_KEY}")
        if any(len(each) < SECRET_KEY_MIN_CHARS or each == DEVELOPMENT["secret_key"] for each in self.fallbacks):
            raise ValueError(
                f"{PREFIX}SECRET_KEY_FALLBACKS has a public key, or one under {SECRET_KEY_MIN_CHARS} characters"
            )
        if self.debug:
            raise ValueError(f"{PREFIX}DEBUG is for {PREFIX}ENVIRONMENT=development only")
        if reason := why_not_writable(self.database_url):
            raise ValueError(f"{PREFIX}DATABASE_URL cannot be used: {reason}")
        return self


def read_env(environ: Mapping[str, str] = os.environ) -> Env:
    """Read the environment and the secrets directory; exit with a list of all problems instead of a traceback."""
    values = {
        name: text
        for name, value in environ.items()
        if name.startswith(PREFIX) and (text := value.strip(SURROUNDING_CHARACTERS))
    }
    try:
        misspellings, unknown = _unknown(environ)
        if misspellings:
            raise ValueError("\n".join(misspellings))
        env = Env(**_fields({**_files(values.get(SECRETS_DIR)), **values}))
    except ValidationError as error:
        raise SystemExit(explain(error)) from None
    except ValueError as error:
        raise SystemExit(f"tidewire cannot start:\n{error}") from None
    if env.environment == "production":
        for name in unknown:
            sys.stderr.write(f"{name} is no setting of tidewire and is ignored; .env.example has all of them\n")
    return env


def _fields(values: Mapping[str, str]) -> dict[str, str]:
    named = {f"{PREFIX}{field.upper()}": field for field in Env.model_fields}
    return {field: values[name] for name, field in named.items() if name in values}


def _files(directory: str | None) -> dict[str, str]:
    """Read secrets by the names of their files. An empty file counts as no value, like an empty variable."""
    if directory is None:
        return {}
    if not Path(directory).is_dir():
        raise ValueError(f"  {SECRETS_DIR}={directory} is no directory")
    values = {}
    for path in sorted(Path(directory).glob(f"{PREFIX}*")):
        try:
            text = path.read_text(encoding="utf-8").strip(SURROUNDING_CHARACTERS)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise ValueError(f"  {path.name} in {SECRETS_DIR} cannot be read: {reason}") from None
        if text:
            values[path.name] = text
    return values


def _unknown(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return messages for misspelt names of settings, and the other names that are not settings."""
    known = {field.upper(): field for field in Env.model_fields} | {"SECRETS_DIR": ""}
    misspellings, unknown = [], []
    for name in sorted(environ):
        short = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or (name.startswith(PREFIX) and short in known):
            continue
        if meant := difflib.get_close_matches(short, known, n=1, cutoff=MISSPELLING_SIMILARITY):
            misspellings.append(f"  {name} is no setting. {PREFIX}{meant[0]} is meant?")
        else:
            unknown.append(name)
    return misspellings, unknown


def explain(error: ValidationError) -> str:
    """Describe each problem in a line: variable, problem, purpose. Values are omitted, as they may be secret."""
    lines = ["tidewire cannot start:"]
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        message = problem["msg"].removeprefix("Value error, ")
        if not field:
            lines.append(f"  {message}")
            continue
        wrong = "is not set" if problem["type"] == "missing" else f"is invalid: {message}"
        lines.append(f"  {PREFIX}{field.upper()} {wrong}. {Env.model_fields[field].description}")
    lines.append(f"Set them in the environment or as files in {SECRETS_DIR}; .env.example has them all.")
    lines.append(f"On a developer's machine {PREFIX}ENVIRONMENT=development is enough.")
    return "\n".join(lines)
