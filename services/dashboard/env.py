"""The one typed reader of the environment: every setting that differs between places, read once at start.

`.env.example` is generated from these fields; a missing or odd value stops the start and is named.
"""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT: Final = Path(__file__).resolve().parents[2]
PREFIX: Final = "TIDEWIRE_"

# What production must be told and a developer need not. The key is public: production refuses it.
DEVELOPMENT: Final[dict[str, Any]] = {
    "secret_key": "development-only-key-that-everybody-can-read-in-the-repository",
    "allowed_hosts": "localhost,127.0.0.1",
    "redis_url": "redis://127.0.0.1:18379/0",
    "database_url": f"sqlite:///{ROOT / 'var' / 'tidewire.sqlite3'}",
    "secure_cookies": False,
    "log_format": "text",
}
# Django's own measure of a strong key (`check --deploy`, security.W009).
SECRET_KEY_MIN_CHARS: Final = 50
NEW_KEY: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in (part.strip() for part in value.split(",")) if part)
    return value


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Env(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    environment: Literal["development", "production"] = Field(
        default="production",
        description="development gives every required variable a default for one machine; production has none.",
    )
    debug: bool = Field(default=False, description="Tracebacks in pages and unhashed static files; development only.")
    secret_key: SecretStr = Field(description=f"Signs sessions and tickets; secret. Make one: {NEW_KEY}")
    allowed_hosts: CommaList = Field(
        min_length=1, description="Host names that pages are served under, with commas between them."
    )
    redis_url: str = Field(
        pattern=r"^(rediss?|unix)://", description="The Redis that carries events and presence: redis://host:6379/0"
    )
    redis_sentinels: CommaList = Field(
        default=(),
        description="host:port of each Redis Sentinel, with commas between them. They name the primary; "
        f"{PREFIX}REDIS_URL then gives user, password, database and TLS, and its host is not used. Empty: no Sentinel.",
    )
    redis_master: str = Field(default="mymaster", min_length=1, description="What the Sentinels call the primary.")
    redis_sentinel_password: SecretStr = Field(
        default=SecretStr(""), description="The Sentinels' own password, where they ask for one; secret."
    )
    database_url: str = Field(
        pattern=r"^\w+://", description="The database: postgres://user:password@host:5432/name or sqlite:////path"
    )
    origins: CommaList = Field(
        default=(),
        description="Public origins (https://docs.example.com) that may post forms and open sockets; "
        "empty: the request's own host only.",
    )
    signup: bool = Field(default=False, description="Whether visitors may make an account for themselves.")
    admin_path: str = Field(
        default="admin/",
        pattern=r"^[a-z0-9-]{1,50}/$",
        description="Where Django's admin is, with a slash at its end; another word keeps scanners away, no more.",
    )
    static_root: Path = Field(
        default=ROOT / "var" / "static", description="Where collectstatic puts the static files that nginx serves."
    )
    secure_cookies: bool = Field(
        default=True, description="Cookies over HTTPS only, redirect to HTTPS, HSTS. Off only where there is no TLS."
    )
    web_bind: str = Field(default="127.0.0.1:18100", description="Where Gunicorn listens.")
    web_workers: int = Field(default=2, ge=1, le=64, description="Gunicorn processes of one web service.")
    web_threads: int = Field(default=8, ge=1, le=256, description="Requests that one Gunicorn process serves at once.")
    node: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Name of this ws process in presence, metrics and logs; unique among the nodes of one Redis. "
        "Empty: host name and process id.",
    )
    admin_host: str = Field(default="127.0.0.1", description="Where a ws process serves health and metrics.")
    admin_port: Port = Field(default=18300, description="The port for it; never behind the public proxy.")
    ws_drain_seconds: float = Field(
        default=30, ge=0, le=3600, description="How long a stopping ws process takes to hand its sockets over."
    )
    session_check_seconds: float = Field(
        default=300,
        ge=1,
        le=86400,
        description="Within this a session that ended without an event (expired, deleted by hand) closes its sockets.",
    )
    connections_per_node: int = Field(
        default=10_000, ge=1, le=100_000, description="Sockets that a ws process takes; more are sent to another."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    log_format: Literal["text", "json"] = Field(default="json", description="text for people, json for collectors.")

    @field_validator("redis_sentinels")
    @classmethod
    def _sentinels_are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        odd = [each for each in value if not re.fullmatch(r"\S+:[0-9]{1,5}", each)]
        if odd:
            raise ValueError(f"host:port is wanted, not {odd[0]!r}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _development_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        return DEVELOPMENT | values if values.get("environment") == "development" else values

    @model_validator(mode="after")
    def _production_is_no_development(self) -> Self:
        if self.environment == "development":
            return self
        key = self.secret_key.get_secret_value()
        if key == DEVELOPMENT["secret_key"]:
            raise ValueError(f"{PREFIX}SECRET_KEY is the public development key; make one: {NEW_KEY}")
        if len(key) < SECRET_KEY_MIN_CHARS:
            raise ValueError(f"{PREFIX}SECRET_KEY has {len(key)} characters, needs {SECRET_KEY_MIN_CHARS}: {NEW_KEY}")
        if self.debug:
            raise ValueError(f"{PREFIX}DEBUG is for {PREFIX}ENVIRONMENT=development only")
        return self


def read_env() -> Env:
    """The environment, secrets directory included; exits with every problem named instead of a traceback."""
    secrets_dir = os.environ.get(f"{PREFIX}SECRETS_DIR") or None
    if secrets_dir and not Path(secrets_dir).is_dir():
        raise SystemExit(f"tidewire cannot start: {PREFIX}SECRETS_DIR={secrets_dir} is no directory")
    try:
        return Env(_secrets_dir=secrets_dir)
    except ValidationError as error:
        raise SystemExit(explain(error)) from None


def explain(error: ValidationError) -> str:
    """One line per problem: the variable, what is wrong, what it is for. Never the value: it may be a secret."""
    lines = ["tidewire cannot start:"]
    for problem in error.errors(include_input=False, include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        if not field:
            lines.append(f"  {problem['msg'].removeprefix('Value error, ')}")
            continue
        wrong = "is not set" if problem["type"] == "missing" else f"is odd: {problem['msg']}"
        lines.append(f"  {PREFIX}{field.upper()} {wrong}. {Env.model_fields[field].description}")
    lines.append(f"Set them in the environment or as files in {PREFIX}SECRETS_DIR; .env.example has them all.")
    lines.append(f"On a developer's machine {PREFIX}ENVIRONMENT=development is enough.")
    return "\n".join(lines)
