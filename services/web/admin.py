"""The admin's forms for users, with the same rules for names as the sign-up page."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.auth.models import User

from web.names import check_name

if TYPE_CHECKING:
    CreationForm = AdminUserCreationForm[User]
    ChangeForm = UserChangeForm[User]
    Admin = UserAdmin[User]
else:
    CreationForm, ChangeForm, Admin = AdminUserCreationForm, UserChangeForm, UserAdmin

# Importing UserAdmin registers Django's own.
admin.site.unregister(User)


class _NameField:
    cleaned_data: dict[str, Any]
    instance: User

    def clean_username(self) -> str:
        return check_name(self.cleaned_data["username"], user_pk=self.instance.pk)


class NewUserForm(_NameField, CreationForm):
    pass


class UserForm(_NameField, ChangeForm):
    pass


@admin.register(User)
class NamedUserAdmin(Admin):
    form = UserForm
    add_form = NewUserForm
