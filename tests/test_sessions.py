"""The session and its account are read by one statement, and never from memory."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from config import sessions

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def someone() -> User:
    return User.objects.create_user("someone", password="a long secret 1")


def who(client: Client) -> str | None:
    user = client.get(reverse("home")).wsgi_request.user
    return user.get_username() or None


def test_from_the_second_request_on_one_statement_reads_session_and_account(someone: User, client: Client) -> None:
    client.force_login(someone)
    sessions.owners.clear()
    assert who(client) == "someone"
    with CaptureQueriesContext(connection) as asked:
        assert who(client) == "someone"
    reading = [query["sql"] for query in asked if "auth_user" in query["sql"] and "password" in query["sql"]]
    assert len(reading) == 1 and "django_session" in reading[0]


def test_an_account_that_is_closed_or_deleted_is_out_at_its_next_request(someone: User, client: Client) -> None:
    client.force_login(someone)
    assert who(client) == who(client) == "someone"
    User.objects.filter(pk=someone.pk).update(is_active=False)
    assert who(client) is None
    User.objects.filter(pk=someone.pk).update(is_active=True)
    assert who(client) == "someone"
    someone.delete()
    assert who(client) is None


def test_a_changed_password_ends_the_sessions_that_are_known(someone: User, client: Client) -> None:
    client.force_login(someone)
    assert who(client) == who(client) == "someone"
    someone.set_password("another secret 2")
    someone.save()
    assert who(client) is None


def test_two_accounts_in_turn_never_see_each_other(someone: User) -> None:
    User.objects.create_user("other", password="a long secret 1")
    clients = {name: Client() for name in ("someone", "other")}
    for name, client in clients.items():
        client.force_login(User.objects.get(username=name))
    for _round in range(3):
        for name, client in clients.items():
            assert who(client) == name
            assert who(Client()) is None


def test_a_session_in_which_another_logs_in_belongs_to_the_other(someone: User, client: Client) -> None:
    other = User.objects.create_user("other")
    client.force_login(someone)
    assert who(client) == who(client) == "someone"
    client.force_login(other)
    assert who(client) == who(client) == "other"


def test_what_is_remembered_of_owners_is_bounded(someone: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_OWNERS", 2)
    sessions.owners.clear()
    for _visit in range(5):
        client = Client()
        client.force_login(someone)
        assert who(client) == "someone"
        assert len(sessions.owners) <= 2
