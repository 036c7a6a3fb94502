"""The whole OpenAPI schema, filled in by a machine, as each role: nothing is answered with an error of the server."""

import json

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples

from datasets import access
from datasets.services import tokens

pytestmark = pytest.mark.django_db
ROLES = ("nobody", "rater", "guest", "curator", "admin", "reading token")
MOST = 6  # examples an operation and role


def person(role: str) -> User:
    user = User.objects.create_user(role.replace(" ", "-"), is_staff=role == "admin", is_superuser=role == "admin")
    if role in ("curator", "reading token"):
        user.groups.add(access.curators())
    if role == "guest":
        user.groups.add(access.guests())
    return user


@pytest.fixture
def schema(client, admin_person):
    client.force_login(admin_person)
    document = client.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    return schemathesis.openapi.from_dict(json.loads(document.content))


@pytest.mark.parametrize("role", ROLES)
def test_no_request_of_the_schema_breaks_the_server(schema, release, role):
    headers = {}
    if role != "nobody":
        scope = "read" if role == "reading token" else "write"
        headers = {"Authorization": f"Token {tokens.issue_token(person(role), name='t', scope=scope)[1]}"}
    broken: list[str] = []
    n = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @examples(
            max_examples=MOST, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def attack(case):
            nonlocal n
            kwargs = case.as_transport_kwargs(base_url="http://testserver")
            client = Client(raise_request_exception=False, headers=headers)
            body = (
                kwargs.get("data") if isinstance(kwargs.get("data"), bytes | str) else json.dumps(kwargs.get("json"), default=str)
            )
            if kwargs.get("json") is None and not kwargs.get("data"):
                body = ""
            answer = client.generic(
                kwargs["method"], kwargs["url"].removeprefix("http://testserver"), body, content_type="application/json",
                query_params={k: v for k, v in (kwargs.get("params") or {}).items() if v is not None},
            )  # fmt: skip
            n += 1
            if answer.status_code >= 500:
                broken.append(f"{kwargs['method']} {kwargs['url']} {str(body)[:200]}")
            if role in ("nobody", "guest", "reading token") and kwargs["method"] not in ("GET", "HEAD", "OPTIONS"):
                assert answer.status_code >= 400, (kwargs["method"], kwargs["url"], answer.status_code)

        attack()
    assert broken == [] and n > 50
