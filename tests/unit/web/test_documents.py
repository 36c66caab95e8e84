"""The pages of documents: permissions, contents and redirects."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from dashboard import actions
from dashboard.events import DocumentPeople
from dashboard.models import Document
from web.documents import DocumentPage

PAGES = ["documents", "document-create", "notifications", "people"]
DOCUMENT_PAGES = ["document", "document-edit", "document-delete"]


def urls(document):
    yield from (reverse(name) for name in PAGES)
    yield from (reverse(name, args=[document.slug]) for name in DOCUMENT_PAGES)


class TestPermissions:
    def test_nobody_sees_anything_without_a_login(self, client, plan):
        for url in [*urls(plan), reverse("notification", args=[1]), reverse("notifications-unread")]:
            response = client.get(url)
            assert response.status_code == 302, url
            assert response.url == f"{reverse('login')}?next={url}"

    def test_nobody_writes_anything_without_a_login(self, client, plan, published):
        for url in [*urls(plan), reverse("notifications-read")]:
            assert client.post(url, {"title": "x", "body": "x", "version": 1}).status_code == 302
        assert published == []
        assert Document.objects.get().version == 1

    @pytest.mark.parametrize(
        ("who", "statuses"),
        [("ada", [200, 200, 200]), ("bob", [200, 200, 403]), ("staff", [200, 200, 200])],
    )
    def test_who_gets_which_page(self, as_user, request, plan, who, statuses):
        client = as_user(request.getfixturevalue(who))
        assert [client.get(reverse(page, args=[plan.slug])).status_code for page in DOCUMENT_PAGES] == statuses

    def test_a_stranger_cannot_delete_by_hand(self, as_user, bob, plan, published):
        assert as_user(bob).post(reverse("document-delete", args=[plan.slug])).status_code == 403
        assert Document.objects.exists()
        assert published == []

    @pytest.mark.parametrize(("who", "offered"), [("ada", True), ("bob", False), ("staff", True)])
    def test_deleting_is_offered_to_who_may(self, as_user, request, plan, who, offered):
        page = as_user(request.getfixturevalue(who)).get(reverse("document", args=[plan.slug]))
        assert (reverse("document-delete", args=[plan.slug]) in page.text) is offered

    @pytest.mark.parametrize("page", DOCUMENT_PAGES)
    def test_a_document_that_is_not_there_is_a_404(self, as_user, ada, page):
        assert as_user(ada).get(reverse(page, args=["gone"])).status_code == 404


class TestList:
    def test_newest_change_first(self, as_user, ada, bob, plan):
        other = actions.create_document(ada, title="Other", body="")
        actions.update_document(bob, plan.pk, version=1, title="Plan", body="x")
        page = as_user(ada).get(reverse("documents"))
        assert [document.slug for document, _ in page.context["rows"]] == [plan.slug, other.slug]
        assert "edited by <bdi>bob</bdi>" in page.text

    def test_shows_who_reads_and_who_edits(self, as_user, ada, plan, now):
        now.people[plan.slug] = DocumentPeople(
            phase="update", readers=("eve",), editors=("bob",), reader_count=1, editor_count=1
        )
        page = as_user(ada).get(reverse("documents")).text
        assert 'data-phase="update"' in page
        assert page.index("bob</span>") < page.index("eve</span>")

    def test_names_the_number_of_those_it_cannot_name(self, as_user, ada, plan, now):
        names = tuple(f"user{number}" for number in range(20))
        now.people[plan.slug] = DocumentPeople(phase="read", readers=names, reader_count=123)
        assert "+103" in as_user(ada).get(reverse("documents")).text

    def test_a_document_without_anybody_is_free(self, as_user, ada, plan):
        assert 'data-phase="free"' in as_user(ada).get(reverse("documents")).text

    def test_without_redis_the_page_comes_with_dashes(self, as_user, ada, plan, now):
        now.unavailable = True
        page = as_user(ada).get(reverse("documents"))
        assert page.status_code == 200
        assert "<b data-users-count>\N{EN DASH}</b>" in page.text
        assert 'data-phase="unknown"' in page.text
        assert 'data-position=""' in page.text

    def test_pages_of_twenty(self, as_user, ada, published):
        for number in range(21):
            actions.create_document(ada, title=f"Document {number}", body="")
        client = as_user(ada)
        first, second = (client.get(reverse("documents"), {"page": number}) for number in (1, 2))
        assert [len(page.context["rows"]) for page in (first, second)] == [20, 1]
        assert "Page 1 of 2" in first.text
        assert client.get(reverse("documents"), {"page": 3}).status_code == 404

    def test_an_empty_list_invites(self, as_user, ada):
        assert "Write the first one" in as_user(ada).get(reverse("documents")).text

    def test_asks_the_database_the_same_however_long_it_is(
        self, as_user, ada, plan, django_assert_max_num_queries, published
    ):
        client = as_user(ada)
        for number in range(10):
            actions.create_document(ada, title=f"Document {number}", body="")
        with django_assert_max_num_queries(6):
            client.get(reverse("documents"))


class TestHeader:
    def test_says_who_is_online_and_what_is_unread(self, as_user, bob, plan, now):
        now.names = ["ada", "bob", "eve"]
        page = as_user(bob).get(reverse("documents")).text
        assert "<b data-users-count>3</b>" in page
        assert 'title="\u2068ada\u2069, \u2068bob\u2069, \u2068eve\u2069"' in page
        assert "<span data-unread-count>1</span>" in page

    def test_carries_the_position_to_resume_from(self, as_user, ada, plan, now):
        now.at = "epoch:41"
        page = as_user(ada).get(reverse("document", args=[plan.slug]))
        assert 'data-position="epoch:41"' in page.text
        assert f'data-newest-notification="{plan.notifications.get().pk}"' in page.text

    def test_reads_its_position_before_what_it_shows(self, as_user, ada, bob, plan, monkeypatch):
        """Events during the rendering arrive through the socket, so the page's position must not include them."""
        known = plan.notifications.get().pk

        real = DocumentPage.document

        def document(view):
            actions.update_document(bob, plan.pk, version=1, title="Plan", body="meanwhile")
            return real(view)

        monkeypatch.setattr(DocumentPage, "document", document)
        page = as_user(ada).get(reverse("document", args=[plan.slug])).text
        assert "meanwhile" in page
        assert f'data-newest-notification="{known}"' in page
        assert "<span data-unread-count>0</span>" in page

    def test_is_not_for_shared_caches(self, as_user, ada):
        assert "private" in as_user(ada).get(reverse("documents")).headers["Cache-Control"]


class TestCreate:
    def test_leads_to_the_document_and_is_told_once(self, as_user, ada, published):
        response = as_user(ada).post(reverse("document-create"), {"title": " Plan ", "body": "one\r\ntwo\r\n"})
        document = Document.objects.get()
        assert response.url == reverse("document", args=[document.slug])
        assert (document.title, document.body, document.author) == ("Plan", "one\ntwo\n", ada)
        assert [(topic, event.verb) for topic, event in published] == [("notifications", "created")]

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"title": "", "body": "x"}, "This field is required"),
            ({"title": "x" * 201, "body": ""}, "at most 200 characters"),
            ({"title": "x", "body": "x" * 100_001}, "at most 100000 characters"),
            ({"title": "x\0", "body": ""}, "Null characters"),
        ],
    )
    def test_refuses_with_the_text_kept(self, as_user, ada, published, fields, error):
        page = as_user(ada).post(reverse("document-create"), fields)
        assert page.status_code == 200
        assert error in page.text
        assert page.context["form"]["body"].value() == fields["body"]
        assert published == []

    def test_line_ends_do_not_count_twice(self, as_user, ada, published):
        """A browser counts a line end as one character and sends two."""
        lines = "\r\n" * 100_000
        assert as_user(ada).post(reverse("document-create"), {"title": "x", "body": lines}).status_code == 302
        assert len(Document.objects.get().body) == 100_000


class TestDetail:
    def test_shows_text_author_and_version(self, as_user, bob, plan):
        page = as_user(bob).get(reverse("document", args=[plan.slug])).text
        assert '<p dir="auto">first</p>' in page
        assert "by <bdi>ada</bdi>" in page
        assert "version 1" in page

    def test_says_when_there_is_no_text(self, as_user, ada, published):
        document = actions.create_document(ada, title="Empty", body="")
        assert "no text yet" in as_user(ada).get(reverse("document", args=[document.slug])).text

    def test_survives_the_loss_of_the_last_editor(self, as_user, ada, bob, plan):
        actions.update_document(bob, plan.pk, version=1, title="Plan", body="x")
        bob.delete()
        client = as_user(ada)
        assert "edited by <bdi>a deleted user</bdi>" in client.get(reverse("document", args=[plan.slug])).text
        assert "edited by <bdi>a deleted user</bdi>" in client.get(reverse("documents")).text


class TestEdit:
    def test_opening_it_is_told_once(self, as_user, bob, plan, published):
        client = as_user(bob)
        for _ in range(2):
            assert client.post(reverse("document-editing", args=[plan.slug])).status_code == 204
        assert [(topic, event.verb) for topic, event in published] == [("notifications", "edit_started")]

    def test_saving_leads_to_the_document_and_is_told_once(self, as_user, bob, plan, published):
        fields = {"title": "Plan B", "body": "second", "version": 1}
        response = as_user(bob).post(reverse("document-edit", args=[plan.slug]), fields)
        assert response.url == reverse("document", args=[plan.slug])
        assert [str(message) for message in get_messages(response.wsgi_request)] == ["Saved."]
        plan.refresh_from_db()
        assert (plan.title, plan.body, plan.version) == ("Plan B", "second", 2)
        assert [(topic, event.verb) for topic, event in published] == [("notifications", "updated")]

    @pytest.mark.parametrize("version", ["", "0", "-1", "x", "1.5"])
    def test_a_broken_version_never_saves(self, as_user, bob, plan, published, version):
        page = as_user(bob).post(
            reverse("document-edit", args=[plan.slug]), {"title": "x", "body": "mine", "version": version}
        )
        assert page.status_code == 200
        assert page.context["form"]["body"].value() == "mine"
        assert Document.objects.get().version == 1
        assert published == []

    def test_warns_at_once_when_somebody_is_there_already(self, as_user, ada, plan, now):
        now.people[plan.slug] = DocumentPeople(phase="update", editors=("ada", "bob"), editor_count=2)
        page = as_user(ada).get(reverse("document-edit", args=[plan.slug])).text
        assert "<b data-second-editor-names><bdi>bob</bdi></b> <span data-second-editor-verb>is</span>" in page
        assert 'data-second-editor role="alert" >' in page

    def test_does_not_warn_of_oneself(self, as_user, ada, plan, now):
        now.people[plan.slug] = DocumentPeople(phase="update", editors=("ada",), editor_count=1)
        page = as_user(ada).get(reverse("document-edit", args=[plan.slug])).text
        assert 'data-second-editor role="alert" hidden>' in page


class TestDelete:
    def test_asks_first(self, as_user, ada, plan, published):
        assert "cannot be undone" in as_user(ada).get(reverse("document-delete", args=[plan.slug])).text
        assert Document.objects.exists()

    def test_deletes_and_is_told_once(self, as_user, ada, plan, published):
        response = as_user(ada).post(reverse("document-delete", args=[plan.slug]))
        assert response.url == reverse("documents")
        assert not Document.objects.exists()
        assert [(topic, event.verb) for topic, event in published] == [("notifications", "deleted")]

    def test_the_answer_isolates_the_title(self, as_user, ada):
        """After "דגם (1)" the rest of the sentence was in the wrong direction."""
        document = actions.create_document(ada, title="דגם (1)", body="")
        page = as_user(ada).post(reverse("document-delete", args=[document.slug]), follow=True)
        assert "“\u2068דגם (1)\u2069” is deleted." in page.text

    def test_somebody_faster_is_no_error(self, as_user, ada, plan, monkeypatch):
        def gone(_user, _pk, *, version):
            raise Document.DoesNotExist

        monkeypatch.setattr(actions, "delete_document", gone)
        assert as_user(ada).post(reverse("document-delete", args=[plan.slug])).url == reverse("documents")


class TestIdentity:
    def test_a_number_with_other_words_before_it_is_no_address(self, as_user, bob, plan, published):
        """After the restore of a backup, a number may belong to another document than the one in an old tab."""
        client = as_user(bob)
        slug = f"other-{plan.pk}"
        assert client.get(reverse("document-edit", args=[slug])).status_code == 404
        assert client.post(reverse("document-editing", args=[slug])).status_code == 404
        fields = {"title": "Other", "body": "mine", "version": 1}
        assert client.post(reverse("document-edit", args=[slug]), fields).status_code == 409
        assert published == []

    def test_what_was_confirmed_before_a_change_is_asked_again(self, as_user, ada, bob, plan, published):
        url = reverse("document-delete", args=[plan.slug])
        client = as_user(ada)
        actions.update_document(bob, plan.pk, version=1, title="Plan", body="two")
        for version in ("1", "x"):
            page = client.post(url, {"version": version})
            assert page.status_code == 409
            assert "has been saved again" in page.text
        assert client.post(url, {"version": "2"}).url == reverse("documents")
        assert "was deleted before" in client.post(url, {"version": "2"}, follow=True).text

    def test_a_page_whose_answer_was_lost_may_ask(self, as_user, bob, plan, published):
        client = as_user(bob)
        key = client.get(reverse("document-create")).context["form"]["submission"].value()
        text = {"title": " New  one ", "body": "a\r\nb", "submission": str(key)}
        assert client.post(reverse("draft-saved"), text).json() == {"saved": False}
        client.post(reverse("document-create"), text)
        assert client.post(reverse("draft-saved"), text).json() == {"saved": True}
        assert client.post(reverse("draft-saved"), text | {"body": "more"}).json() == {"saved": False}
        assert client.get(reverse("draft-saved")).url == reverse("documents")
