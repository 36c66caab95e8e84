"""The documents' pages: list, read, write, delete, and the resolution of conflicting saves."""

from contextlib import suppress
from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch

from dashboard import actions, live, submissions
from dashboard.models import Document, pk_of
from dashboard.permissions import can_delete
from web.badges import FREE, UNKNOWN, Badge, badge
from web.compare import compare
from web.forms import DeleteForm, DocumentForm, EditForm
from web.generic import DetailView, FormView, ListView
from web.pages import LivePage, UserRequest, UserView
from web.templatetags.text import isolate


class DocumentList(LivePage, ListView[Document]):
    template_name = "web/documents.html"
    paginate_by = 20

    def get_queryset(self) -> QuerySet[Document]:
        # The texts are the largest part of a row, and the list does not show them.
        return Document.objects.select_related("author", "updated_by").defer("body")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        statuses = live.statuses([document.slug for document in context["page_obj"]])
        badges = {} if statuses is None else {slug: badge(status) for slug, status in statuses.items()}
        default = UNKNOWN if statuses is None else FREE
        context["rows"] = [(document, badges.get(document.slug, default)) for document in context["page_obj"]]
        return context


class DocumentPage(LivePage):
    """A page about one document: 404 if it does not exist; shows its badge."""

    def documents(self) -> QuerySet[Document]:
        return Document.objects.select_related("author", "updated_by").filter(slug=self.kwargs["slug"])

    def document(self) -> Document:
        return get_object_or_404(self.documents())

    def pk(self) -> int:
        """The document's primary key; 0, which no document has, if it was deleted."""
        return self.documents().values_list("pk", flat=True).first() or 0

    def badge(self) -> Badge:
        status = live.status(self.kwargs["slug"])
        return badge(status) if status else UNKNOWN


class DocumentDetail(DocumentPage, DetailView[Document]):
    template_name = "web/document.html"

    def get_object(self, queryset: QuerySet[Document] | None = None) -> Document:
        return self.document()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            badge=self.badge(), can_delete=can_delete(self.request.user, self.object), **kwargs
        )


class DocumentCreate(LivePage, FormView[DocumentForm]):
    template_name = "web/create.html"
    form_class = DocumentForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form; `from` names a deleted document that this form has the text of. A login may redirect here."""
        with suppress(NoReverseMatch):
            return redirect("document-edit", request.GET.get("from", ""))
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: DocumentForm) -> HttpResponse:
        user, form_key, kept = self.request.user, form.cleaned_data["submission"], form.cleaned_data["draft"]
        try:
            document = actions.create_document(user, **form.text(), form=form_key)
        except submissions.Repeated as repeated:
            return _lead_on(self.request, repeated, "Created.", kept)
        messages.success(self.request, "Created. Everybody can see it now.", extra_tags=kept)
        return redirect("document", document.slug)


class DocumentEdit(DocumentPage, FormView[EditForm]):
    template_name = "web/edit.html"
    form_class = EditForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        document = self.documents().first()
        if document is None:
            return self._gone()
        # Not set for a POST, which contains its own text and must not fail if the document was deleted meanwhile.
        self.initial = {"title": document.title, "body": document.body, "version": document.version}
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        badge = self.badge()
        others = [name for name in badge.editors if name != self.request.user.get_username()]
        return super().get_context_data(slug=self.kwargs["slug"], badge=badge, others=others, **kwargs)

    def form_valid(self, form: EditForm) -> HttpResponse:
        user, pk, version = self.request.user, self.pk(), form.cleaned_data["version"]
        form_key, kept = form.cleaned_data["submission"], form.cleaned_data["draft"]
        try:
            document = actions.update_document(user, pk, version=version, **form.text(), form=form_key)
        except submissions.Repeated as repeated:
            return _lead_on(self.request, repeated, "Saved.", kept)
        except actions.Conflict as conflict:
            return self._conflict(conflict, kept)
        saved = document.version > version
        messages.success(
            self.request, "Saved." if saved else "Nothing has changed, so nothing was saved.", extra_tags=kept
        )
        return redirect("document", document.slug)

    def _conflict(self, conflict: actions.Conflict, kept: str) -> HttpResponse:
        """Show both versions side by side, and a form with the user's own text that saves over the newer version."""
        yours, theirs = conflict.yours, conflict.theirs
        draft = {"title": yours.title, "body": yours.body, "draft": kept}
        if theirs is None:
            context = {"form": DocumentForm(initial=draft), "yours": yours}
            return self._page("web/deleted_meanwhile.html", HTTPStatus.CONFLICT, context)
        your_lines, their_lines = compare(yours.body, theirs.body)
        context = {
            "form": EditForm(initial=draft | {"version": theirs.version}),
            "yours": yours,
            "theirs": theirs,
            "by_yourself": theirs.updated_by == self.request.user,
            "your_lines": your_lines,
            "their_lines": their_lines,
        }
        return self._page("web/conflict.html", HTTPStatus.CONFLICT, context)

    def _gone(self) -> HttpResponse:
        """Show that the document does not exist. The page offers text that the browser may have kept for it."""
        return self._page("web/gone.html", HTTPStatus.NOT_FOUND, {"form": DocumentForm()})

    def _page(self, template: str, status: HTTPStatus, context: dict[str, Any]) -> HttpResponse:
        return self.response_class(
            request=self.request, template=[template], context=self.get_context_data(**context), status=status
        )


def _lead_on(request: HttpRequest, repeated: submissions.Repeated, done: str, kept: str) -> HttpResponse:
    """Answer a form that was accepted before, with a redirect to the same page as after its first response."""
    document = repeated.document
    if document is None:
        messages.info(request, "That was saved before, and the document has been deleted since.")
        return redirect("documents")
    if document.version > repeated.version:
        done = f"That was saved before, as version {repeated.version}. The document has changed since."
    messages.success(request, done, extra_tags=kept)
    return redirect("document", document.slug)


class StartEditing(UserView):
    """Called by the editing page's script when the page is shown: a GET of the page must not notify others.

    Browsers and proxies load pages that are never shown, to prefetch them or to read their headers.
    """

    def post(self, request: UserRequest, slug: str) -> HttpResponse:
        document = get_object_or_404(Document.objects.only("pk"), slug=slug)
        with suppress(Document.DoesNotExist):
            actions.start_editing(request.user, document.pk)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)

    def get(self, _request: UserRequest, slug: str) -> HttpResponse:
        return redirect("document-edit", slug)


class DraftSaved(UserView):
    """Return whether a submitted form was accepted with this text. Called by pages that got no response to it."""

    def post(self, request: UserRequest) -> HttpResponse:
        form = DocumentForm(request.POST)
        saved = form.is_valid() and submissions.accepted(
            request.user, form.cleaned_data["submission"], submissions.Draft(**form.text())
        )
        return JsonResponse({"saved": saved})

    def get(self, _request: UserRequest) -> HttpResponse:
        return redirect("documents")


class DocumentDelete(DocumentPage, DetailView[Document]):
    template_name = "web/delete.html"

    def get_object(self, queryset: QuerySet[Document] | None = None) -> Document:
        document = self.document()
        if not can_delete(self.request.user, document):
            raise PermissionDenied("Only the author of a document and staff may delete it.")
        return document

    def post(self, request: HttpRequest, slug: str) -> HttpResponseBase:
        form = DeleteForm(request.POST)
        document = self.documents().first()
        if document is None and pk_of(slug):
            return self._deleted_before()
        document = self.get_object()
        # Without a valid version the user must confirm again, as after a change.
        version = form.cleaned_data["version"] if form.is_valid() else 0
        try:
            actions.delete_document(self.request.user, document.pk, version=version)
        except actions.ChangedMeanwhile:
            self.object = self.get_object()
            context = self.get_context_data(object=self.object, changed=True)
            return self.render_to_response(context, status=HTTPStatus.CONFLICT)
        except Document.DoesNotExist:
            return self._deleted_before()
        messages.success(request, f"“{isolate(document.title)}” is deleted.")
        return redirect("documents")

    def _deleted_before(self) -> HttpResponse:
        messages.info(self.request, "The document was deleted before.")
        return redirect("documents")
