"""Fingerprints of SECRET_KEY in the names of nodes."""

from tidewire.key_fingerprint import fingerprint, named, others


def test_nodes_with_another_key_are_counted(settings):
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a", ["b"]
    names = [f"ws-{key}.key{fingerprint(key)}-1a2b3c4d" for key in ("a", "b", "c", "d")]
    # A node of an earlier version has no fingerprint.
    assert others([*names, "ws-9-1a2b3c4d"]) == (2, 4)
    assert others([]) == (0, 0)


def test_a_name_shows_the_key_by_its_fingerprint_only(settings):
    settings.SECRET_KEY = "of this process"
    assert named("ws-1") == f"ws-1.key{fingerprint('of this process')}"
    assert len(fingerprint("of this process")) == 8
