"""Sphinx's settings for the documentation's site: `make docs`.

`README.md` is the index: each of its headings with a list of pages becomes a part of the navigation, in that order. A
page that no list has is an error, as is a link to a page or heading that does not exist.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import django
from docutils import nodes
from sphinx.application import Sphinx

import tidewire

os.environ.setdefault("TIDEWIRE_ENVIRONMENT", "development")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ws.settings")
# Docstrings are read from the imported modules, and some of those have models.
django.setup()

project = "tidewire"
version = release = tidewire.__version__
copyright = "the tidewire contributors, BSD-3-Clause"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_llm.txt"]
root_doc = "README"
# A part of metrics.md, which has it already.
exclude_patterns = ["metrics-cost.md"]
myst_heading_anchors = 4
# Commands are copied from pages, so quotes stay as they are.
smartquotes = False
# Docstrings are written with Markdown's backticks.
default_role = "code"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True

# The sections of docstrings are those of Google's style guide.
napoleon_numpy_docstring = False
# Attributes are a list, because autodoc has an entry for some of them too.
napoleon_use_ivar = True

# The index has the form of llms.txt, and each page is beside its HTML as Markdown.
llms_txt_override_source = root_doc
llms_txt_suffix_mode = "replace"
llms_txt_nested_enabled = False
llms_txt_suppress_unknown_node_warnings = ["abbreviation"]

html_theme = "furo"
html_title = f"tidewire {version}"
html_static_path = ["_static"]
html_css_files = ["tidewire.css"]
html_js_files = [("tidewire.js", {"type": "module"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>(?:\.\./)+[^)#]+)\)")
PART = re.compile(r"^## (?P<title>.+)\n\n(?P<list>(?:- .*\n(?:  .*\n)*)+)", re.MULTILINE)
PAGE = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[\w/-]+)\.md\)", re.MULTILINE)


def add_navigation(_app: Sphinx, name: str, source: list[str]) -> None:
    """Add a hidden table of contents for each part of the index."""
    if name != root_doc:
        return
    trees = [
        "\n".join(("```{toctree}", ":hidden:", f":caption: {part['title']}", "", *_pages(part["list"]), "```"))
        for part in PART.finditer(source[0])
    ]
    source[0] = "\n\n".join((source[0], *trees, ""))


def _pages(listed: str) -> list[str]:
    return [f"{page['title']} <{page['page']}>" for page in PAGE.finditer(listed)]


def show_files_of_the_repository(app: Sphinx, name: str, source: list[str]) -> None:
    """Show the paths of files outside docs/, which are no part of the site, instead of links to them."""
    page = Path(app.srcdir) / name

    def shown(link: re.Match[str]) -> str:
        target = (page.parent / link["path"]).resolve()
        if not target.exists():
            # Sphinx reports it.
            return link[0]
        path = f"`{target.relative_to(ROOT)}`"
        return path if link["text"].strip("`") in path else f"{link['text']} ({path})"

    source[0] = OUTSIDE.sub(shown, source[0])


def give_headings_a_level(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    """Sphinx marks the captions of the navigation as headings without a level, which screen readers need."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def publish_index(app: Sphinx, error: Exception | None) -> None:
    """Serve the index also under the name that web servers look for."""
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def add_dark_pictures(app: Sphinx, tree: nodes.document, _name: str) -> None:
    """Show `x-dark.png` instead of `x-light.png` where the page is dark."""
    for light in list(tree.findall(nodes.image)):
        path = light["uri"].replace("-light.", "-dark.")
        if path == light["uri"] or not (Path(app.srcdir) / path).exists():
            continue
        dark = light.deepcopy()
        dark["uri"], dark["candidates"] = path, {"*": path}
        app.env.images.add_file(app.env.docname, path)
        light["classes"].append("only-light")
        dark["classes"].append("only-dark")
        light.parent.insert(light.parent.index(light) + 1, dark)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", show_files_of_the_repository)
    app.connect("source-read", add_navigation)
    app.connect("doctree-resolved", add_dark_pictures)
    # After furo has made the tree.
    app.connect("html-page-context", give_headings_a_level, priority=900)
    app.connect("build-finished", publish_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
