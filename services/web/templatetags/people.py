"""Template filters for people; `static/web/people.js` does the same for names in events."""

from django import template

register = template.Library()

# The number of colours in the style sheet.
HUES = 8


@register.filter
def hue(name: str) -> int:
    """Return a colour for a name, the same on all pages and in all browsers."""
    return sum(map(ord, name)) % HUES


@register.filter
def initial(name: str) -> str:
    return name[:1].upper()
