"""If a user's access changes, all nodes close their sockets within a second, or without an event within an interval."""

import asyncio
import contextlib
import itertools
import time

import pytest

from tests.http_client import fetch
from tests.sockets import close_code, event, open_socket
from tests.stack import ONE_WORKER

EXPIRED = 4005
UNAUTHENTICATED = 4500
REVOKED = 4501
PROMPT_SECONDS = 1.0

# Actions of an administrator, a command or the user, in a process of its own, for `ada` and her other session.
DJANGO = """
import django
django.setup()
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
ada = User.objects.get(username=NAME)
import time
print(time.time(), flush=True)
"""
CHANGES = {
    "deactivation": "ada.is_active = False; ada.save()",
    "a new password": "ada.set_password('another'); print(time.time()); ada.save()",
    "a lost permission": "ada.user_permissions.add(Permission.objects.first()); "
    "print(time.time()); ada.user_permissions.clear()",
    "a staff role": "ada.is_staff = True; ada.save()",
    "a lost group": "group = Group.objects.create(name=NAME); ada.groups.add(group); "
    "print(time.time()); group.user_set.clear()",
}
# The codes of the close and of the next handshake. After the other changes, the session is still valid.
CODES = {"deactivation": (REVOKED, UNAUTHENTICATED), "a new password": (EXPIRED, UNAUTHENTICATED)}
UNSEEN = {
    "a session deleted by hand": "Session.objects.filter(pk=KEY)._raw_delete('default')",
    "a user deactivated by a query": "User.objects.filter(pk=ada.pk).update(is_active=False)",
    "a password set by a query": "User.objects.filter(pk=ada.pk).update(password='!')",
}
NAMES = {change_name: f"changed-{number}" for number, change_name in enumerate((*CHANGES, *UNSEEN))}


def change(stack, name, cookie, code) -> float:
    """Make a change; return its time in seconds since 1970."""
    return float(stack.run("-c", script(name, cookie, code)).split()[-1])


def script(name, cookie, code) -> str:
    key = cookie.partition("=")[2]
    return f"NAME, KEY = {name!r}, {key!r}\n{DJANGO}\n{code}\n"


async def closed_at(socket) -> tuple[int | None, float]:
    return await close_code(socket), time.time()


def on_both_nodes(stack, cookie):
    return [open_socket(stack, "/ws/users/", cookie, at=f"ws://127.0.0.1:{node.port}") for node in stack.ws]


@pytest.fixture(scope="module")
def people(stack):
    """A user for each change, and an unaffected one, logged in."""
    return stack.sessions("bob", *NAMES.values())


@pytest.mark.alone
@pytest.mark.parametrize("change_name", CHANGES)
async def test_lost_access_closes_the_user_s_sockets_on_every_node(stack, people, change_name):
    """Sockets of all their sessions close within a second. The code is final only if no session can be valid."""
    mine, other = people[NAMES[change_name]], people["bob"]
    first, second = on_both_nodes(stack, mine)
    async with first as one, second as two, on_both_nodes(stack, other)[0] as bystander:
        for each in (one, two, bystander):
            await event(each, "users.count")
        watching = [asyncio.ensure_future(closed_at(each)) for each in (one, two)]
        at = await asyncio.to_thread(change, stack, NAMES[change_name], mine, CHANGES[change_name])
        closed_with, opens_with = CODES.get(change_name, (EXPIRED, None))
        for code, seconds in await asyncio.gather(*watching):
            assert code == closed_with
            assert seconds - at < PROMPT_SECONDS
        async with on_both_nodes(stack, mine)[0] as again:
            if opens_with is None:
                await event(again, "users.count")
            else:
                assert await close_code(again) == opens_with
        await bystander.send('{"type": "ping"}')
        await event(bystander, "pong")


@pytest.mark.alone
async def test_logout_closes_that_session_s_sockets_on_every_node(stack):
    """The user's other session, in another browser, must continue."""
    mine = (await asyncio.to_thread(stack.sessions, "leaver"))["leaver"]
    elsewhere = (await asyncio.to_thread(stack.sessions, "leaver"))["leaver"]
    first, second = on_both_nodes(stack, mine)
    async with first as one, second as two, on_both_nodes(stack, elsewhere)[1] as other:
        for each in (one, two, other):
            await event(each, "users.count")
        watching = [asyncio.ensure_future(closed_at(each)) for each in (one, two)]
        at = await asyncio.to_thread(log_out, stack, mine)
        for code, seconds in await asyncio.gather(*watching):
            assert code == REVOKED
            assert seconds - at < PROMPT_SECONDS
        await other.send('{"type": "ping"}')
        await event(other, "pong")


def log_out(stack, cookie) -> float:
    """Log out with the page's own form; return the time of the request in seconds since 1970."""
    before = fetch(f"{stack.url}/", headers={"Cookie": cookie})
    token = before.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    set_now = [value.partition(";")[0] for value in before.headers.get_all("Set-Cookie", [])]
    at = time.time()
    headers = {"Cookie": "; ".join((cookie, *set_now))}
    assert fetch(f"{stack.url}/logout/", fields={"csrfmiddlewaretoken": token}, headers=headers).status == 302
    return at


@pytest.mark.alone
async def test_access_that_was_lost_without_an_event_is_noticed(watchful, watched_people):
    """Each node checks its sessions at intervals, and valid sockets must stay open."""
    async with contextlib.AsyncExitStack() as opened:
        bystander = await opened.enter_async_context(on_both_nodes(watchful, watched_people["bob"])[0])
        sockets = {
            change_name: [
                await opened.enter_async_context(each)
                for each in on_both_nodes(watchful, watched_people[NAMES[change_name]])
            ]
            for change_name in UNSEEN
        }
        for each in (bystander, *itertools.chain(*sockets.values())):
            await event(each, "users.count")
        watching = {
            change_name: [asyncio.ensure_future(closed_at(each)) for each in both]
            for change_name, both in sockets.items()
        }
        # One process makes all changes, in this order, and prints the time of each.
        scripts = [
            script(NAMES[change_name], watched_people[NAMES[change_name]], code) for change_name, code in UNSEEN.items()
        ]
        changed = await asyncio.to_thread(watchful.run, "-c", "".join(scripts))
        for change_name, at in zip(UNSEEN, map(float, changed.split()), strict=True):
            for code, seconds in await asyncio.gather(*watching[change_name]):
                assert code == REVOKED, change_name
                assert seconds - at < 2 + PROMPT_SECONDS, change_name
        await bystander.send('{"type": "ping"}')
        await event(bystander, "pong")


@pytest.fixture(scope="module")
def watchful(stack_factory):
    """A stack that checks sessions every two seconds."""
    with stack_factory(TIDEWIRE_SESSION_CHECK_SECONDS="2", **ONE_WORKER) as running:
        yield running


@pytest.fixture(scope="module")
def watched_people(watchful):
    return watchful.sessions("bob", *NAMES.values())
