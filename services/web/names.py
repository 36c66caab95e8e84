"""User names that look alike: "ada" beside "Ada", or beside an "ada" of Cyrillic letters.

Each user has a row for each skeleton of the name, the form in which look-alikes are equal (Unicode Technical Standard
39, "Confusable Detection"). The rows are unique, so the database refuses the second of two concurrent sign-ups.
"""

import unicodedata
from typing import Any

from confusable_homoglyphs.confusables import confusables_data
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save, pre_save

from dashboard.models import NameSkeleton
from dashboard.text import clean_name

# Latin letters and digits that look like each other, by the same standard.
_LATIN = str.maketrans("I10", "llO")

TAKEN = "A user with that name, or with one that looks like it, already exists. Choose another."


def connect() -> None:
    """Keep the skeletons consistent with the users, once per process."""
    pre_save.connect(_before_save, sender=User, dispatch_uid="web.names")
    post_save.connect(_after_save, sender=User, dispatch_uid="web.names")


def skeletons(name: str) -> set[str]:
    """Return the forms of a name; names that look alike have one in common.

    A capital may look like a letter that its lower case does not: the capital Cyrillic Ve looks like B. One form is
    therefore of the name as written, and one of the name in lower case.
    """
    plain = unicodedata.normalize("NFKC", name)
    return {_latin(plain).translate(_LATIN).casefold(), _latin(plain.casefold()).casefold()}


def check_name(name: str, *, user_pk: int | None = None) -> str:
    """Return the name. Raises `ValidationError` if a part is invisible, or if it looks like another user's name."""
    clean_name(name)
    others = NameSkeleton.objects.filter(skeleton__in=skeletons(name))
    if user_pk is not None:
        others = others.exclude(user_id=user_pk)
    if others.exists():
        raise ValidationError(TAKEN, code="taken")
    return name


def _before_save(instance: User, raw: bool = False, **_: Any) -> None:
    if instance._state.adding and not raw:  # noqa: SLF001  # Django documents it for exactly this
        check_name(instance.get_username())


def _after_save(
    instance: User, created: bool, raw: bool = False, update_fields: frozenset[str] | None = None, **_: Any
) -> None:
    if raw or (update_fields is not None and User.USERNAME_FIELD not in update_fields):
        return
    wanted = skeletons(instance.get_username())
    mine = NameSkeleton.objects.filter(user=instance)
    if set(mine.values_list("skeleton", flat=True)) == wanted:
        return
    try:
        with transaction.atomic():
            mine.delete()
            NameSkeleton.objects.bulk_create([NameSkeleton(user=instance, skeleton=each) for each in sorted(wanted)])
    except IntegrityError:
        # The forms refuse a rename to a look-alike. An existing user must remain editable.
        if created:
            raise ValidationError(TAKEN, code="taken") from None


def _latin(text: str) -> str:
    return "".join(map(_prototype, unicodedata.normalize("NFD", text)))


def _prototype(char: str) -> str:
    """Return the Latin letter or digit that a character looks like, otherwise the character."""
    if char.isascii():
        return char
    alike = (each["c"] for each in confusables_data.get(char, ()))
    return next((each for each in alike if each.isascii() and each.isalnum()), char)
