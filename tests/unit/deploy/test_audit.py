"""The audit of dependencies: how it handles pip-audit's results."""

import json

import pytest

from deploy.local import audit
from deploy.local.audit import NoAdvisories, findings

CLEAN = {"name": "django", "version": "5.2", "vulns": []}
BAD = {"name": "redis", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": []}]}
UNKNOWN = {"name": "redis", "skip_reason": "not found"}


def report(*dependencies):
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_vulnerability_is_a_finding_and_fails(monkeypatch, capsys):
    assert findings(report(CLEAN, BAD)) == ["redis 1.0: PYSEC-1, fixed in 1.1"]
    monkeypatch.setattr(audit, "_ask", lambda: report(CLEAN, BAD))
    assert audit.main() == 1
    assert "PYSEC-1" in capsys.readouterr().out


def test_nothing_known_is_no_finding():
    assert findings(report(CLEAN, UNKNOWN)) == []


@pytest.mark.parametrize("answer", [report(UNKNOWN), "", "ConnectionError: no route\n", "[]"])
def test_without_advisories_it_says_so_and_fails_nothing(monkeypatch, capsys, answer):
    with pytest.raises(NoAdvisories):
        findings(answer)
    monkeypatch.setattr(audit, "_ask", lambda: answer)
    assert audit.main() == 0
    assert "left out" in capsys.readouterr().out
