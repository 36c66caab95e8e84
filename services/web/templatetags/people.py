"""Template filters for people; `static/web/people.js` does the same for names that arrive in events."""

from django import template

register = template.Library()

# As many as the stylesheet has colours.
HUES = 8


@register.filter
def hue(name: str) -> int:
    """A colour for a name, the same on every page and in every browser."""
    return sum(map(ord, name)) % HUES


@register.filter
def initial(name: str) -> str:
    return name[:1].upper()
