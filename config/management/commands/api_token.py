from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand
from datasets.models import ApiToken
from datasets.services import tokens


class Command(StudioCommand):
    help = "Make a token for the API; its secret is printed once and kept nowhere."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="made in a shell", help="What it is for.")
        parser.add_argument("--scope", choices=ApiToken.Scope.values, default=ApiToken.Scope.WRITE)
        parser.add_argument("--days", type=int, default=90, help="How long it lives.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no account “{options['username']}”.")
        row, secret = tokens.issue_token(user, name=options["name"], scope=options["scope"], days=options["days"])
        return {"token": secret, "scope": row.scope, "expires_at": row.expires_at.isoformat()}, secret, True
