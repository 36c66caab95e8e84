"""The admin lists all models, and changes documents only through the actions."""

import pytest
from django.contrib.admin.sites import site
from django.urls import reverse

from dashboard import actions
from dashboard.models import Document, Notification, ReadPointer


@pytest.fixture
def admin_page(client, user, settings):
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    client.force_login(user("root", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("model", [Document, Notification, ReadPointer])
def test_every_model_is_there(model):
    assert site.is_registered(model)


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize("name", ["document", "notification", "readpointer"])
def test_lists_and_searches(admin_page, bob, name):
    actions.mark_read(bob, 1)
    response = admin_page.get(reverse(f"admin:dashboard_{name}_changelist"), {"q": "b"})
    assert response.status_code == 200


@pytest.mark.parametrize("name", ["document", "notification"])
def test_no_form_writes_around_the_actions(admin_page, plan, name):
    row = plan if name == "document" else Notification.objects.get()
    page = reverse(f"admin:dashboard_{name}_change", args=[row.pk])
    assert admin_page.get(page).status_code == 200
    assert admin_page.post(page, {"title": "sneaked in"}).status_code == 403
    assert admin_page.get(reverse(f"admin:dashboard_{name}_add")).status_code == 403


def test_deleting_one_is_told(admin_page, plan, published):
    admin_page.post(reverse("admin:dashboard_document_delete", args=[plan.pk]), {"post": "yes"})
    assert not Document.objects.exists()
    assert [event.verb for _, event in published] == ["deleted"]


@pytest.mark.usefixtures("plan")
def test_deleting_several_is_told_for_each(admin_page, ada, published):
    actions.create_document(ada, title="Other", body="")
    published.clear()
    chosen = list(Document.objects.values_list("pk", flat=True))
    admin_page.post(
        reverse("admin:dashboard_document_changelist"),
        {"action": "delete_selected", "_selected_action": chosen, "post": "yes"},
    )
    assert not Document.objects.exists()
    assert [event.verb for _, event in published] == ["deleted", "deleted"]
