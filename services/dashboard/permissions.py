"""The permissions of users, checked by the actions and by the pages that offer them."""

from django.contrib.auth.models import User

from dashboard.models import Document


def can_delete(user: User, document: Document) -> bool:
    """The author and staff may delete; all authenticated users may read and edit."""
    return user.is_active and (user.is_staff or document.author_id == user.pk)


def can_operate(user: User) -> bool:
    """Staff may see the state of the nodes and drain one."""
    return user.is_active and user.is_staff
