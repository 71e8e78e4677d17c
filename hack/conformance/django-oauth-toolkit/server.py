"""Serves django-oauth-toolkit on the loopback, with the client and the users that the CONFORMANCE_ variables of the environment
name, from Debian's python3-django-oauth-toolkit. Prints its URL and the library's version, then serves until it is killed.

A refresh token that was spent is answered once more for a while, with the tokens that followed it: the grace window.
"""

import os
import secrets
from datetime import timedelta
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings


def setting(name):
    return os.environ["CONFORMANCE_" + name]


settings.configure(
    SECRET_KEY=secrets.token_hex(32),
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"],
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": int(setting("LIFETIME")),
        "OAUTH2_VALIDATOR_CLASS": "__main__.Validator",
        "PKCE_REQUIRED": False,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 600,
        "ROTATE_REFRESH_TOKEN": True,
        "SCOPES": {"api": "everything"},
    },
    ROOT_URLCONF="__main__",
    USE_TZ=True,
)
django.setup()

import oauth2_provider
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.decorators import protected_resource
from oauth2_provider.models import Application, Grant, RefreshToken
from oauth2_provider.oauth2_validators import OAuth2Validator

counts = dict.fromkeys(["granted", "presented", "codes", "reused", "refusedLogins", "refusedClients", "revoked"], 0)
spent = set()


class Validator(OAuth2Validator):
    """The library's validator, which notes what it is asked."""

    def authenticate_client(self, request, *args, **kwargs):
        known = super().authenticate_client(request, *args, **kwargs)
        if not known:
            counts["refusedClients"] += 1
        return known

    def validate_code(self, client_id, code, client, request, *args, **kwargs):
        counts["codes"] += 1
        if code in spent:
            counts["reused"] += 1
        return super().validate_code(client_id, code, client, request, *args, **kwargs)

    def invalidate_authorization_code(self, client_id, code, request, *args, **kwargs):
        spent.add(code)
        super().invalidate_authorization_code(client_id, code, request, *args, **kwargs)

    def validate_refresh_token(self, refresh_token, client, request, *args, **kwargs):
        counts["presented"] += 1
        if refresh_token in spent:
            counts["reused"] += 1
        return super().validate_refresh_token(refresh_token, client, request, *args, **kwargs)

    def save_bearer_token(self, token, request, *args, **kwargs):
        presented = getattr(request, "refresh_token_instance", None)
        super().save_bearer_token(token, request, *args, **kwargs)
        counts["granted"] += 1
        if presented:
            spent.add(presented.token)

    def validate_user(self, username, password, client, request, *args, **kwargs):
        known = super().validate_user(username, password, client, request, *args, **kwargs)
        if not known:
            counts["refusedLogins"] += 1
        return known

    def revoke_token(self, token, token_type_hint, request, *args, **kwargs):
        counts["revoked"] += RefreshToken.objects.filter(token=token, revoked__isnull=True).count()
        super().revoke_token(token, token_type_hint, request, *args, **kwargs)


@protected_resource()
def resource(request):
    return HttpResponse()


@csrf_exempt
def code(request):
    """The authorization endpoint, where the user has said yes."""
    grant = Grant.objects.create(
        application=Application.objects.get(authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE),
        user=User.objects.get(username=request.GET["user"]),
        code=secrets.token_hex(20),
        expires=timezone.now() + timedelta(minutes=10),
        redirect_uri=setting("REDIRECT_URI"),
        scope="api",
    )
    return HttpResponse(grant.code)


urlpatterns = [
    path("o/", include("oauth2_provider.urls")),
    path("resource", resource),
    path("judge/counts", lambda request: JsonResponse(counts)),
    path("judge/code", code),
]


class Quiet(WSGIRequestHandler):
    """Nobody reads a log of requests."""

    def log_message(self, *args):
        pass


def populate():
    """Makes two clients, because one may use one grant only beside the refresh: one for passwords, one for codes."""
    call_command("migrate", verbosity=0)
    for suffix, grant in (("", Application.GRANT_PASSWORD), ("-code", Application.GRANT_AUTHORIZATION_CODE)):
        Application.objects.create(
            client_id=setting("CLIENT_ID") + suffix,
            client_secret=setting("CLIENT_SECRET"),
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=grant,
            redirect_uris=setting("REDIRECT_URI"),
        )
    for name in setting("USERS").split(","):
        User.objects.create_user(name, password=setting("PASSWORD"))


populate()
server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
print(f"http://127.0.0.1:{server.server_port} {oauth2_provider.__version__}", flush=True)
server.serve_forever()
