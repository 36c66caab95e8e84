"""Who may do what, asked by the actions and by the pages that offer them."""

from django.contrib.auth.models import User

from dashboard.models import Document


def can_delete(user: User, document: Document) -> bool:
    """The author and staff delete; reading and editing are open to everybody who is logged in."""
    return user.is_active and (user.is_staff or document.author_id == user.pk)


def can_operate(user: User) -> bool:
    """Staff see how the nodes are and may drain one."""
    return user.is_active and user.is_staff
