"""Strict schemas: Kubernetes' own for several versions, and those of custom resources if CRD_SCHEMAS names a folder."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
from kubernetes_validate import utils

# The minors that the project supports: deploy/versions.toml.
VERSIONS = ("1.35", "1.36", "1.37")
# Without the cache, the library would read megabytes again for each object.
utils.schema_contents = functools.cache(utils.schema_contents)


def violations(manifest: dict[str, Any], crd_schemas: Path | None) -> tuple[list[str], int]:
    """Return the faults of an object, and the number of schemas that it was checked against."""
    return _violations(json.dumps(manifest, sort_keys=True), crd_schemas)


@functools.cache
def _violations(text: str, crd_schemas: Path | None) -> tuple[list[str], int]:
    # Cached by its text, because the tests that plant mistakes build the same objects many times.
    output = json.loads(text)
    name = f"{output['kind']}/{output['metadata']['name']}"
    wrong: list[str] = []
    checked = 0
    for version in VERSIONS:
        try:
            utils.validate(output, version, strict=True)
        except utils.SchemaNotFoundError:
            break
        except jsonschema.ValidationError as error:
            wrong.append(f"{name} under {version}: {_where(error)}: {error.message[:200]}")
        checked += 1
    schema = None if checked or crd_schemas is None else _custom(crd_schemas, output["apiVersion"], output["kind"])
    if schema:
        checked += 1
        errors = jsonschema.Draft202012Validator(schema).iter_errors(output)
        wrong.extend(f"{name}: {_where(error)}: {error.message[:200]}" for error in errors)
    return wrong, checked


def _where(error: jsonschema.ValidationError) -> str:
    return ".".join(str(part) for part in error.path)


def _custom(folder: Path, api_version: str, kind: str) -> dict[str, Any] | None:
    group, _, version = api_version.partition("/")
    path = folder / group / f"{kind.lower()}_{version}.json"
    if not path.is_file():
        return None
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    _be_strict(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _be_strict(schema: Any) -> None:
    """Make an undefined field an error: it must be a typing error, and the API server would drop it silently."""
    if isinstance(schema, list):
        for each in schema:
            _be_strict(each)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        for each in schema.values():
            _be_strict(each)
