"""Tokens as a way into the API; apart from `access`, because Django REST framework loads it while it is loaded itself."""

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.exceptions import PermissionDenied as Refused
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from datasets.models import ApiToken
from datasets.services.tokens import token_for


class ApiTokenAuthentication(BaseAuthentication):
    """`Authorization: Token SECRET`: the owner's rights, or only to read."""

    keyword = "Token"

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        kind, _space, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() not in ("token", "bearer"):
            return None
        token = token_for(secret.strip())
        if token is None or not token.user.is_active:
            raise AuthenticationFailed(_("The token is not known or has expired. Make a new one under Tokens."))
        if token.scope == ApiToken.Scope.READ and request.method not in SAFE_METHODS:
            raise Refused(_("This token only reads."))
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return self.keyword


class ApiTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it."""

    target_class = "datasets.authentication.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token SECRET`"}
