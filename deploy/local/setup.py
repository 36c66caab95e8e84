"""Prepares this machine for a make target: checks the interpreter, then calls `deploy.local.machine` for the rest.

Any Python 3 must be able to read this file, so that an old one can be refused by a line and not by a traceback.
"""

import shutil
import subprocess
import sys

# All versions from the oldest to the newest are tested. A newer version may work.
OLDEST, NEWEST = (3, 11), (3, 14)


def main(target: str) -> int:
    version = tuple(sys.version_info[:3])
    if version < OLDEST:
        sys.stderr.write(f"{refusal(version)}\n")
        return 1
    if version[:2] > NEWEST:
        sys.stderr.write(f"python3 is {_text(version)}; tidewire is tested up to {_text(NEWEST)}\n")
    # These modules need a Python that is new enough.
    from deploy.local import machine  # noqa: PLC0415 - parsed by newer interpreters only

    return machine.prepare(target)


def refusal(version: "tuple[int, ...]") -> str:
    """Return a line with the fault and, if this machine has an interpreter that is new enough, its name."""
    names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    newer = next((name for name in names if _runs(name)), None)
    remedy = f"make PYTHON={newer} ..." if newer else "install a newer one, then: make PYTHON=python3.x ..."
    return f"{sys.executable} is Python {_text(version)}; tidewire needs {_text(OLDEST)} or newer: {remedy}"


def _runs(name: str) -> bool:
    # A version manager may have its own launcher, which can refuse to run.
    return bool(shutil.which(name)) and not subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL)


def _text(version: "tuple[int, ...]") -> str:
    return ".".join(map(str, version))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        # The next call continues an installation that Ctrl-C interrupted.
        sys.exit(130)
