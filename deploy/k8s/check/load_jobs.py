"""Checks that the load test knows its options, and that it starts at a host and port that the product serves."""
# ruff: noqa: INP001 - deploy/ is no package

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from deploy.k8s.check.build import ROOT
from deploy.k8s.check.references import of

PREFIX = "LOADTEST_"
HOSTS = "TIDEWIRE_ALLOWED_HOSTS"
# The password and its file must not be options, because a list of processes would show them.
SECRET = {"LOADTEST_PASSWORD", "LOADTEST_PASSWORD_FILE"}


def problems(objects: list[dict[str, Any]]) -> Iterator[str]:
    data = [config_map["data"] for config_map in of(objects, "ConfigMap")]
    for options in (each for each in data if "LOCUST_HOST" in each):
        yield from (f"loadtest: {name} is no option of the load test" for name in sorted(_own(options) - _known()))
        yield from _enters(urlsplit(options["LOCUST_HOST"]), objects, [each[HOSTS] for each in data if HOSTS in each])
        workers = [each for each in of(objects, "Job") if each["metadata"]["name"] == "loadtest-worker"]
        if [each["spec"]["completions"] for each in workers] != [int(options["LOCUST_EXPECT_WORKERS"])]:
            yield "loadtest: LOCUST_EXPECT_WORKERS is not how many workers there are"


def _own(options: dict[str, str]) -> set[str]:
    return {name for name in options if name.startswith(PREFIX)}


def _known() -> set[str]:
    text = (ROOT / "loadtest" / "locust_options.py").read_text(encoding="utf-8")
    options = re.findall(r'add\("--([\w-]+)"', text)
    return SECRET | {PREFIX + option.replace("-", "_").upper() for option in options}


def _enters(url: Any, objects: list[dict[str, Any]], allowed: list[str]) -> Iterator[str]:
    if not any(url.hostname in hosts.split(",") for hosts in allowed):
        yield f"loadtest: {url.hostname} is not one of {HOSTS}"
    services = {each["metadata"]["name"]: each["spec"]["ports"] for each in of(objects, "Service")}
    if (url.port or 80) not in {port["port"] for port in services.get(url.hostname, [])}:
        yield f"loadtest: there is no Service for {url.geturl()}"
