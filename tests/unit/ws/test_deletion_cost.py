"""The deletion costs of the nodes' pods, read from the API server's list and the nodes' metrics."""

import pytest

from ws.deletion_cost import ANNOTATION, MAX_INT, Pod, is_significant, running_pods, sockets


def listed_pod(name="ws-1", address="10.0.0.1", *, annotations=None, leaving=False):
    metadata = {"name": name} | ({"annotations": annotations} if annotations is not None else {})
    metadata |= {"deletionTimestamp": "2026-11-24T00:00:00Z"} if leaving else {}
    return {"metadata": metadata, "status": {"podIP": address} if address else {}}


def test_a_pod_that_was_told_nothing_costs_nothing_as_kubernetes_has_it():
    assert running_pods({"items": [listed_pod()]}) == [Pod("ws-1", "10.0.0.1", 0)]


def test_the_cost_told_before_is_read_back():
    assert running_pods({"items": [listed_pod(annotations={ANNOTATION: "-7"})]})[0].cost == -7


def test_what_somebody_else_wrote_there_counts_as_nothing():
    assert running_pods({"items": [listed_pod(annotations={ANNOTATION: "much"})]})[0].cost == 0


def test_pods_without_an_address_and_pods_that_leave_are_passed_over():
    listed = {"items": [listed_pod("starts", ""), listed_pod("leaves", leaving=True), listed_pod("stays")]}
    assert [pod.name for pod in running_pods(listed)] == ["stays"]


def test_the_sockets_of_all_consumers_are_summed():
    page = """# HELP tidewire_connections Sockets open now.
# TYPE tidewire_connections gauge
tidewire_connections{consumer="UsersConsumer"} 40.0
tidewire_connections{consumer="DocumentsConsumer"} 2.0
tidewire_connections_other{consumer="UsersConsumer"} 1000.0
tidewire_subscriptions{topic="users"} 77.0
"""
    assert sockets(page) == 42


def test_a_node_without_any_socket_yet_has_none():
    assert sockets("# TYPE tidewire_connections gauge\n") == 0


def test_the_cost_fits_what_kubernetes_takes():
    assert sockets('tidewire_connections{consumer="A"} 9e9\n') == MAX_INT


@pytest.mark.parametrize(
    ("before", "now", "reported"),
    [(0, 0, False), (0, 9, False), (0, 10, True), (1000, 1099, False), (1000, 1100, True), (1000, 900, True)],
)
def test_only_a_change_that_matters_is_told(before, now, reported):
    assert is_significant(Pod("ws-1", "10.0.0.1", before), now) is reported


def test_that_the_last_socket_has_gone_is_always_told():
    assert is_significant(Pod("ws-1", "10.0.0.1", 3), 0)
