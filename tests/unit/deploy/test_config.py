"""deploy.local.config: the templates, rendered as envsubst renders them."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.local.config import nginx_variables, prometheus_configuration, render, write_configuration
from deploy.local.layout import ROOT, Layout, Ports

RULES = ROOT / "deploy" / "prometheus" / "rules"
TEMPLATE = ROOT / "deploy" / "nginx" / "tidewire.conf.template"


@pytest.fixture
def layout(tmp_path):
    return Layout(ports=Ports.from_variables({"WEB": "2", "WS": "3"}), var=tmp_path)


def test_every_variable_of_the_template_is_given_and_documented(layout):
    text = TEMPLATE.read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)\}", text))
    assert used == set(nginx_variables(layout))
    assert used == set(re.findall(r"^#   (TIDEWIRE_\w+)", text, flags=re.MULTILINE))


def test_rendering_leaves_the_variables_of_nginx_alone(layout):
    rendered = render(TEMPLATE, nginx_variables(layout))
    assert "${" not in rendered
    assert "X-Request-ID $request_id" in rendered


def test_each_process_is_a_server_of_its_upstream(layout):
    rendered = render(TEMPLATE, nginx_variables(layout))
    assert all(f"server 127.0.0.1:{port} " in rendered for port in (*layout.ports.web, *layout.ports.ws))


@pytest.mark.parametrize("file", ["compose.yaml", "deploy/k8s/base/kustomization.yaml", None])
def test_a_restarted_node_is_taken_back_at_once(layout, file):
    """If all nodes are marked as failed, each is tried again, without a count. The template has the details."""
    text = render(TEMPLATE, nginx_variables(layout)) if file is None else (ROOT / file).read_text(encoding="utf-8")
    ports = [str(port) for port in layout.ports.ws]
    lines = [line for line in text.splitlines() if "WS_SERVERS" in line or any(port in line for port in ports)]
    assert lines
    for line in lines:
        servers = [server.split() for server in line.split(";") if "server " in server]
        first = [server for server in servers if "backup" not in server]
        second = [server for server in servers if "backup" in server]
        assert len(first) == len(second)
        assert all("max_fails=1" in server and "fail_timeout=2s" in server for server in first)
        assert all("max_fails=0" in server for server in second)


def test_admin_ports_are_not_proxied(layout):
    rendered = render(TEMPLATE, nginx_variables(layout))
    assert not any(str(port) in rendered for port in layout.ports.admin)


def test_a_variable_that_is_not_given_is_an_error(tmp_path):
    template = tmp_path / "template"
    template.write_text("listen ${TIDEWIRE_LISTEN};")
    with pytest.raises(KeyError, match="TIDEWIRE_LISTEN"):
        render(template, {})


def test_forwarded_headers_are_overwritten_never_appended_to():
    text = TEMPLATE.read_text(encoding="utf-8")
    assert "proxy_add_x_forwarded_for" not in text
    assert "$http_x_" not in text


def test_no_location_adds_a_header_of_its_own():
    """Nginx inherits add_header and proxy_set_header only if a location has none of its own.

    The question whether a node answers is the exception: it must have none of the server's headers.
    """
    text = TEMPLATE.read_text(encoding="utf-8")
    before, _, rest = text.partition("    location = /tidewire-alive {")
    own, _, after = rest.partition("\n    }\n")
    assert re.findall(r"proxy_set_header (.*);", own) == ["Host $http_host"]
    lines = (before + after).splitlines()
    assert [line for line in lines if re.match(r"\s{8,}(add_header|proxy_set_header)", line)] == []


def test_prometheus_reads_every_rule(layout):
    """The configuration that `make up` writes must list all files of rules."""
    [named] = yaml.safe_load(prometheus_configuration(layout))["rule_files"]
    assert len(list(Path(named).parent.glob(Path(named).name))) == len(list(RULES.glob("*.yml"))) > 1


def test_nginx_reads_paths_with_spaces(tmp_path):
    """The path of a clone may contain a space, as in "My Projects". Without quotes nginx would read two arguments."""
    layout = Layout(ports=Ports.from_variables({}), var=tmp_path / "My Projects" / "var")
    layout.make_directories()
    write_configuration(layout)
    for written in (layout.run / "nginx").glob("*.conf"):
        text = written.read_text(encoding="utf-8")
        assert "My Projects" in text
        assert "Projects" not in re.sub(r'"[^"]*"', "", text)
