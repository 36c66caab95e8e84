"""Template filters for text written by users, which must not change the direction of the page."""

from collections.abc import Iterable

from django import template
from django.utils.html import linebreaks
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

# Unicode's isolates, for places without markup, such as a page's title.
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"


@register.filter
def isolate(text: str) -> str:
    """Isolate the direction of a text from its surroundings."""
    return f"{FIRST_STRONG_ISOLATE}{text}{POP_ISOLATE}"


@register.filter
def names(several: Iterable[str]) -> str:
    """Return the names with commas between them, each isolated."""
    return ", ".join(map(isolate, several))


@register.filter
def paragraphs(text: str) -> SafeString:
    """Escape a text and put it into paragraphs, each in its own direction."""
    return mark_safe(linebreaks(text, autoescape=True).replace("<p>", '<p dir="auto">'))  # noqa: S308  # escaped there
