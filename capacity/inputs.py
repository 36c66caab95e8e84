"""The kinds of values in the files of workloads and costs, and one line for each value that is none of its kind."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

Read = TypeVar("Read")
# Numbers must be numbers: a text, `true` and `nan` are none. Unknown names are refused.
CHECKED = ConfigDict(extra="forbid", allow_inf_nan=False)

Count = Annotated[int, Field(strict=True, ge=1, description="a whole number of at least 1")]
Amount = Annotated[float, Field(strict=True, ge=0, description="a number of at least 0")]
Positive = Annotated[float, Field(strict=True, gt=0, description="a number above 0")]
Share = Annotated[float, Field(strict=True, ge=0, le=1, description="a share from 0 to 1")]
Full = Annotated[
    float, Field(strict=True, gt=0, le=1, description="a share above 0 and at most 1, such as 0.6 for 60 %")
]
Text = Annotated[str, Field(strict=True, min_length=1, description="a text")]
Yes = Annotated[bool, Field(strict=True, description="true or false")]


class WorkloadError(Exception):
    """A file lacks a name, has an unknown one, or has an impossible value."""


def tables_of(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file. Raises `WorkloadError`."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkloadError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WorkloadError(f"{path}: no TOML: {error}") from error


def read_as(kind: type[Read], tables: Mapping[str, Any], path: Path) -> Read:
    """Return the tables as this class. Raises `WorkloadError` with a line for each wrong value."""
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_python(dict(tables))
    except ValidationError as error:
        schema = adapter.json_schema()
        raise WorkloadError("\n".join(f"{path}: {line}" for line in _lines(error, schema))) from error


def _lines(error: ValidationError, schema: Mapping[str, Any]) -> Iterator[str]:
    for each in error.errors():
        *parents, name = [str(part) for part in each["loc"]] or [""]
        key = ".".join([*parents, name])
        known = _fields(schema, parents)
        value = _shown(each["input"])
        if each["type"] in ("missing", "missing_argument"):
            yield f"{key} is missing: expected {_expected(known, name, each)}"
        elif each["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            close = difflib.get_close_matches(name, known, n=1) or sorted(known)
            yield f"{key} = {value} is unknown: expected {_table_with(schema, name) or ' or '.join(close)}"
        else:
            yield f"{key} = {value}: expected {_expected(known, name, each)}"


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fields(schema: Mapping[str, Any], parents: list[str]) -> Mapping[str, Any]:
    """Return the fields of the table that `parents` lead to, by name."""
    here: Mapping[str, Any] = schema
    for part in parents:
        here = here["items"] if part.isdigit() else here.get("properties", {}).get(part, {})
        while "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    fields: Mapping[str, Any] = here.get("properties", {})
    return fields


def _table_with(schema: Mapping[str, Any], name: str) -> str:
    """Return the table in which this name is known; in TOML a line at the end of a file belongs to the last table."""
    if name in schema["properties"]:
        return "it above all tables"
    tables = (table for table in schema["properties"] if name in _fields(schema, [table]))
    return next((f"it in [{table}]" for table in tables), "")


def _expected(known: Mapping[str, Any], name: str, error: Any) -> str:
    words: str = known.get(name, {}).get("description") or error["msg"].removeprefix("Input should be ")
    return words
