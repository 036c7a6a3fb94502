"""The whole OpenAPI schema, filled in by a machine, as each role: nothing is answered with an error of the server."""

import json
import uuid

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples

from annotate.models import Consensus, Invite, Rater
from annotate.services import raters, slots
from datasets import access, selectors
from datasets.models import Export, Fault
from datasets.services import tokens
from mer.models import Run
from tests.test_rows_attacked import study  # noqa: F401  (a fixture)

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


def real(study, questionnaire, asking: User | None) -> dict[str, object]:  # noqa: F811
    """What of the study answers to the names that the schema has for numbers and keys."""
    slot = slots.reserve_next(questionnaire, raters.rater_of(asking)) if asking and not selectors.is_guest(asking) else None
    return {
        "tracks": study.items.first().track_id, "questionnaires": questionnaire.pk, "assignments": str(slot.key) if slot else str(uuid.uuid4()),
        "consensus": Consensus.objects.exclude(state="agreed").first().pk, "releases": study.name, "faults": Fault.objects.first().pk,
        "exports": Export.objects.first().pk, "runs": Run.objects.first().pk, "invites": Invite.objects.first().pk,
        "raters": Rater.objects.first().pk, "inferences": 1, "doubts": 1,
        "release": study.name, "questionnaire": questionnaire.pk, "track": study.items.first().track_id, "track_id": study.items.first().number,
        "run": Run.objects.first().pk, "assignment": str(slot.key) if slot else "", "word": "happy", "label": "positive", "network": "mel",
    }  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_no_request_of_the_schema_breaks_the_server(schema, study, questionnaire, role):  # noqa: F811
    headers = {}
    if role != "nobody":
        scope = "read" if role == "reading token" else "write"
        who = person(role)
        headers = {"Authorization": f"Token {tokens.issue_token(who, name='t', scope=scope)[1]}"}
    known = real(study, questionnaire, None if role == "nobody" else who)
    broken: list[str] = []
    served: set[str] = set()
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
            if n % 3:  # two of three of them about what is there
                where = case.path.removeprefix("/api/v1/").partition("/")[0]
                case.path_parameters = dict.fromkeys(case.path_parameters or {}, known.get(where, 1))
                if isinstance(case.body, dict):
                    case.body = case.body | {name: known[name] for name in case.body if name in known}
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
            if answer.status_code < 400:
                served.add(f"{kwargs['method']} {case.path}")
            if answer.status_code >= 500:
                broken.append(f"{kwargs['method']} {kwargs['url']} {str(body)[:200]}")
            says_faulty = role == "guest" and kwargs["url"].endswith("/faults/")  # which changes nothing
            if (
                role in ("nobody", "guest", "reading token")
                and kwargs["method"] not in ("GET", "HEAD", "OPTIONS")
                and not says_faulty
            ):
                assert answer.status_code >= 400, (kwargs["method"], kwargs["url"], answer.status_code)

        attack()
    assert broken == [] and n > 50
    if role == "admin":
        told = [f"{one.ok().method.upper()} {one.ok().path}" for one in schema.get_all_operations()]
        assert len(served) > 0.6 * len(told), ("hardly anything was reached", sorted(set(told) - served))
