"""The oldest supported versions: a process with an older one must not start."""

from importlib.metadata import PackageNotFoundError, metadata

from django.core.exceptions import ImproperlyConfigured

# The same as in pyproject.toml; a test compares the two.
PACKAGES = {"Django": "5.2", "channels": "4.2", "channels-redis": "4.2", "redis": "5.0.1"}
# The oldest version that the tests run on. Valkey started at 7.2.
REDIS_SERVER = "7.0"


def require_packages(oldest: dict[str, str] = PACKAGES) -> None:
    """Raise `ImproperlyConfigured` if an installed package is older than tidewire needs."""
    for name, least in oldest.items():
        try:
            names = metadata(name)
        except PackageNotFoundError:
            # A project without channels-redis uses another channel layer.
            continue
        # An uninstallation that was interrupted leaves a directory that names no version.
        installed = names["Version"] if "Version" in names else ""  # noqa: SIM401  # before 3.12 no `get` is promised
        if installed and _numbers(installed) < _numbers(least):
            raise ImproperlyConfigured(
                f"{name} {installed} is too old: tidewire needs {least} or newer: "
                f"pip install --upgrade '{name}>={least}'"
            )


def require_redis_server(version: str) -> None:
    """Raise `ImproperlyConfigured` if a Redis server of this version is older than tidewire needs."""
    if _numbers(version) < _numbers(REDIS_SERVER):
        raise ImproperlyConfigured(
            f"the Redis server is {version}, which is too old: tidewire needs Redis {REDIS_SERVER} or newer, or Valkey"
        )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers at the start of a version: `6.1rc1` counts as 6.1."""
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
