"""The check of the manifests, with a planted mistake."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.k8s.needs import KUSTOMIZE

Found = Callable[..., list[str]]


@pytest.fixture
def found_after(tmp_path) -> Found:
    """`found_after(file, old, new)` returns the findings for a copy of the manifests with `old` replaced by `new`."""
    from deploy.k8s.check import build, combination, schemas  # noqa: PLC0415 - the imports need optional packages

    manifests = build.copy(tmp_path)

    def check(file="", old="", new="", *, overlay="local", components=()) -> list[str]:
        if file:
            path = manifests / file
            text = path.read_text()
            assert old in text, f"{old!r} is not in {file}: the planted mistake would be none"
            path.write_text(text.replace(old, new, 1))
        objects = build.build(KUSTOMIZE, manifests, overlay, components)
        folder = os.environ.get("CRD_SCHEMAS")
        messages = [
            each for document in objects for each in schemas.violations(document, Path(folder) if folder else None)[0]
        ]
        return [*combination.problems(objects, overlay), *messages]

    return check
