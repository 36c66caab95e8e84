"""All tests of this directory apply the manifests to a cluster: see `why_no_cluster`."""

import os
import time

import pytest

from tests.k8s.cluster.cluster import Cluster, why_no_cluster
from tests.k8s.cluster.cluster_load import Load

IMAGES = ("web", "ws", "loadtest")


@pytest.fixture(scope="session")
def note(request):
    """Writes a line of progress to the terminal, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", end="", flush=True)  # noqa: T201 - the output is for a person at a terminal

    return write


@pytest.fixture(scope="session")
def cluster(tmp_path_factory, note):
    """The product in the cluster, rolled out. Its namespace is removed afterwards."""
    if reason := why_no_cluster():
        pytest.skip(reason)
    running = Cluster(
        tmp_path_factory.mktemp("cluster"),
        {f"tidewire-{name}": os.environ.get(f"{name.upper()}_IMAGE", f"tidewire-{name}:dev") for name in IMAGES},
    )
    began = time.monotonic()
    try:
        running.up()
        note(f"rolled out from nothing in {time.monotonic() - began:.0f} s")
        yield running
    finally:
        if not os.environ.get("KEEP"):
            running.down()


@pytest.fixture
def load(cluster, note):
    """Returns a load of this number of sockets, which `with` starts."""

    def make(sockets: int, per_second: float = 10.0) -> Load:
        return Load(cluster, sockets=sockets, per_second=per_second, note=note)

    return make
