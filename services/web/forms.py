"""The forms of the pages. They validate and clean; only actions may write."""

import uuid
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.contrib.auth.models import User

from dashboard.models import BODY_LENGTH, TITLE_LENGTH
from dashboard.text import clean_title
from web.names import check_name

# A slug, a key, a time and their separators.
DRAFT_LENGTH = 150

if TYPE_CHECKING:
    UserCreationForm = BaseUserCreationForm[User]
else:
    UserCreationForm = BaseUserCreationForm  # takes its type parameter from the type checker only


class BulmaForm(forms.BaseForm):
    """Gives each visible field the class that Bulma styles."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            css_class = "textarea" if isinstance(field.widget, forms.Textarea) else "input"
            field.widget.attrs.setdefault("class", css_class)


class BodyField(forms.CharField):
    def to_python(self, value: Any) -> str:
        # Browsers send CRLF, and count one character where a length check would count two.
        return str(super().to_python(value)).replace("\r\n", "\n").replace("\r", "\n")


class TitleField(forms.CharField):
    def clean(self, value: Any) -> str:
        return clean_title(str(super().clean(value)))


class DocumentForm(BulmaForm, forms.Form):
    # The direction of the input: a title or a text may be Arabic on an English page.
    title = TitleField(max_length=TITLE_LENGTH, widget=forms.TextInput(attrs={"autocomplete": "off", "dir": "auto"}))
    body = BodyField(
        label="Text",
        max_length=BODY_LENGTH,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "dir": "auto"}),
    )

    # Identifies this form, so that a second copy of it can be recognised. It changes each time the page is rendered.
    submission = forms.UUIDField(required=False, initial=uuid.uuid4, widget=forms.HiddenInput)
    # The browser's own name for its draft (drafts.js). The response to a save returns it.
    draft = forms.CharField(required=False, max_length=DRAFT_LENGTH, widget=forms.HiddenInput)

    def text(self) -> dict[str, str]:
        """Return the text that the user wrote."""
        return {name: self.cleaned_data[name] for name in ("title", "body")}


class EditForm(DocumentForm):
    """Contains the version on which the edit is based, so that a save can check that it is still the newest."""

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class DeleteForm(forms.Form):
    """Contains the version that the user saw before deleting."""

    version = forms.IntegerField(min_value=1, required=False, widget=forms.HiddenInput)


class SignInForm(BulmaForm, AuthenticationForm):
    pass


class SignUpForm(BulmaForm, UserCreationForm):
    class Meta:
        model = User
        fields = ["username"]

    # Like that of a document's form: a second copy can be recognised.
    submission = forms.UUIDField(required=False, initial=uuid.uuid4, widget=forms.HiddenInput)

    def clean_username(self) -> str:
        return check_name(self.cleaned_data["username"])
