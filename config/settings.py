"""Every setting comes from the environment; a malformed value stops the boot with its name.

The table in README.md lists them all (a test keeps it complete).
"""

import hashlib
import logging
import os
import secrets
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.templatetags.static import static
from environs import Env, EnvValidationError
from marshmallow import ValidationError
from marshmallow.validate import Length, OneOf, Range, Regexp

# Read by NumPy when it is imported. Our matrices are small: to share them out among threads costs more than to multiply them (a linear
# model is fitted in a tenth of the processor time without), and there are as many workers as cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# --- where things are -------------------------------------------------------------------------------------------
SOMETHING = Length(min=1, error="it is empty: leave it out, or give it a value")
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / "data"), validate=SOMETHING)).resolve()
HOST = env.str("HOST", "127.0.0.1", validate=SOMETHING)
PORT = env.int("PORT", 8000, validate=Range(1, 65535))
WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 2, validate=Range(1, 256))


def _data_folder(path: Path) -> None:
    """Make it, and try that it can be written into: password hashes and backgrounds of raters are in it, so it is its owner's alone."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise EnvValidationError(f"DATA_DIR={path} cannot be written into ({error.strerror})", [str(error)]) from None


_data_folder(DATA_DIR)


SHORTEST_KEY = 40


def _long_or_none(key: str) -> None:
    if 0 < len(key) < SHORTEST_KEY:
        raise ValidationError("at least 40 characters, or none for one that is made and kept in DATA_DIR")


def _generated_secret(path: Path) -> str:
    """Read the secret key, making it on the first run; never in the code, never readable by others. Of several that start at once, all
    have the same, and a full disk leaves no half of one."""
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix="secret_key-") as file:  # mode 0600
            file.write(key := secrets.token_urlsafe(50))
            file.flush()
            try:
                os.link(file.name, path)
            except FileExistsError:
                pass  # another one was quicker
            except OSError:  # a file system without hard links
                path.touch(mode=0o600)
                path.write_text(key)
    secret = path.read_text(errors="replace").strip()
    if len(secret) < SHORTEST_KEY:
        raise EnvValidationError(
            f"{path} holds no key of at least {SHORTEST_KEY} characters: put the one of your backup there. Without one, remove the file: a new"
            " key is made, and every invitation and way back that was given out is void",
            [],
        )
    return secret


def _bare_names(hosts: list[str]) -> None:
    if wrong := [host for host in hosts if not host or "/" in host or " " in host]:
        raise ValidationError(f"“{wrong[0]}” is no host name: without https://, a path or a blank, with commas between them")


SECRET_KEY = env.str("SECRET_KEY", "", validate=_long_or_none) or _generated_secret(DATA_DIR / "secret_key")
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"], validate=_bare_names)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "config",
    "datasets",
    "annotate",
    "mer",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "axes",
]
MIDDLEWARE = [
    "config.security.request_id",
    "config.metrics.timed",
    "django.middleware.security.SecurityMiddleware",
    "config.security.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "config.security.doors",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "datasets.access.roles",
            ],
        },
    }
]

# --- database: SQLite in WAL mode, or whatever DATABASE_URL names -------------------------------------------------
DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'db.sqlite3'}", conn_max_age=600)}
if not DATABASES["default"].get("NAME"):
    raise EnvValidationError("DATABASE_URL names no database: as in postgres://user:password@host:5432/mer", [])
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["ENGINE"] = "config.sqlite3"
    DATABASES["default"]["OPTIONS"] = {
        # A write transaction takes its lock at BEGIN, so two writers queue instead of failing half-way.
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    # Planning a statement anew each time took PostgreSQL longer than running it: prepared, raters get through 1.6 times as fast.
    # DATABASE_URL may say otherwise (…?prepare_threshold=0), for a pooler that cannot keep prepared statements.
    prepared = {"server_side_binding": True, "prepare_threshold": 3}
    DATABASES["default"]["OPTIONS"] = prepared | DATABASES["default"].get("OPTIONS", {})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- queue -------------------------------------------------------------------------------------------------------
_socket = DATA_DIR / "run" / "valkey.sock"
if len(str(_socket)) > 100:  # a unix socket's path is limited to 107 bytes
    _socket = Path(tempfile.gettempdir()) / f"mer-{hashlib.sha256(str(DATA_DIR).encode()).hexdigest()[:16]}" / "valkey.sock"
EMBEDDED_BROKER_SOCKET = _socket


def _broker(url: str) -> None:
    if url and not url.startswith(("redis://", "rediss://", "redis+socket://")):
        raise ValidationError("it begins with redis://, rediss:// or redis+socket://")
    if not url.startswith("redis+socket://"):
        try:
            parts = urlsplit(url)
            int(parts.path.strip("/") or 0), parts.port  # what is no number is a ValueError
        except ValueError:
            raise ValidationError("port and database are numbers, as in redis://host:6379/0") from None


REDIS_URL = env.str("REDIS_URL", "", validate=_broker)
CELERY_BROKER_URL = REDIS_URL or f"redis+socket://{EMBEDDED_BROKER_SOCKET}"
if REDIS_URL.startswith("rediss://"):  # or whoever sits on the line may pose as the broker; one's own CA: SSL_CERT_FILE
    CELERY_BROKER_USE_SSL = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
}
CELERY_TASK_IGNORE_RESULT = True
# A message only wakes, so it is done with as soon as it is taken, and a worker takes none while it is busy. Counted by what is not yet
# acknowledged, as Celery does by itself, a worker whose line was cut while it was busy never took another one.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_ROUTES = {
    "datasets.tasks.fetch_track": {"queue": "fetch"},
    "datasets.tasks.read_import": {"queue": "fetch"},
    "datasets.tasks.check_sources": {"queue": "fetch"},
    "datasets.tasks.tidy": {"queue": "sweep"},
    "mer.tasks.tidy": {"queue": "sweep"},
    "mer.tasks.hear_what_came_in": {"queue": "sweep"},
    "mer.tasks.train_run": {"queue": "train"},
    "mer.tasks.train_fold": {"queue": "train"},
    "mer.tasks.hear_unrated": {"queue": "train"},
    "mer.tasks.learning_curve": {"queue": "train"},
    "datasets.tasks.sweep": {"queue": "sweep"},  # never behind heavy work
    "*": {"queue": "audio"},
}
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    # Long, because it is compared with the clock of the machine that takes it.
    "sweep": {"task": "datasets.tasks.sweep", "schedule": 10.0, "options": {"expires": 300}},
    "tidy": {"task": "datasets.tasks.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
    "hear-what-came-in": {"task": "mer.tasks.hear_what_came_in", "schedule": 600.0, "options": {"expires": 600}},
    "tidy-runs": {"task": "mer.tasks.tidy", "schedule": 3600.0, "options": {"expires": 3600}},
}

# --- accounts ----------------------------------------------------------------------------------------------------
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "config.sessions"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "config.sessions.AccountBackend"]
SESSION_COOKIE_AGE = 60 * 24 * 3600  # a rater without password comes back for weeks
# Ten wrong passwords for a name from an address close it for a quarter of an hour; config/security.py counts those over many names.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "config.security.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # who logged in when is nobody's business
AXES_VERBOSE = False

# --- security ----------------------------------------------------------------------------------------------------
HTTPS = env.bool("HTTPS", False)  # a proxy ends TLS in front of the studio
PROXY_COUNT = env.int("PROXY_COUNT", 0, validate=Range(0))  # proxies whose X-Forwarded-For is believed
AXES_CLIENT_IP_CALLABLE = "config.security.address_of"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked from inside, without the proxy
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # preloading concerns the whole registered domain, which is not ours to decide
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],  # named, because the admin panel adds to it
        "style-src": ["'self'", "'unsafe-inline'"],  # style="--share: 34" carries data into the style sheet
        "img-src": ["'self'", "data:"],
        "media-src": ["'self'", "blob:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- files -------------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = DATA_DIR / "media"  # never served by address: every file goes through a view that asks for the right
HTTP = Regexp(r"https?://[^/\s]+|\Z", error="it begins with http:// or https://, and a host follows")
S3_BUCKET = env.str("S3_BUCKET", "")  # recordings and bundles go there instead of MEDIA_ROOT
S3_OPTIONS = {
    "bucket_name": S3_BUCKET,
    "endpoint_url": env.str("S3_ENDPOINT_URL", "", validate=HTTP) or None,
    "region_name": env.str("S3_REGION", "") or None,
    "access_key": env.str("S3_ACCESS_KEY", "") or None,
    "secret_key": env.str("S3_SECRET_KEY", "") or None,
    "default_acl": None,  # private: the studio hands out the bytes, after asking for the right
    "file_overwrite": True,
}
if S3_BUCKET:
    from botocore.config import Config  # type: ignore[import-untyped]

    # A storage that says nothing must not hold the threads that answer pages.
    S3_OPTIONS["client_config"] = Config(connect_timeout=3, read_timeout=20, retries={"max_attempts": 2})
STORAGES = {
    "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": S3_OPTIONS}
    if S3_BUCKET
    else {"BACKEND": "config.storage.WholeFiles"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
DATA_UPLOAD_MAX_NUMBER_FILES = 1000  # a folder of recordings at once
WORK_DIR = DATA_DIR / "tmp"  # of jobs and uploads under way
WORK_DIR.mkdir(exist_ok=True)
FILE_UPLOAD_TEMP_DIR = WORK_DIR
UPLOAD_MAX_MB = env.int("UPLOAD_MAX_MB", 500, validate=Range(1))  # one audio file
FILE_UPLOAD_HANDLERS = [
    "datasets.uploads.SizeLimitUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
PLAYLIST_MAX = env.int("PLAYLIST_MAX", 1000, validate=Range(1))  # videos of one playlist or channel
FETCH_COOKIES_FILE = env.str("FETCH_COOKIES_FILE", "")  # of a browser that is logged in, in Netscape's format
FETCH_PROXY = env.str("FETCH_PROXY", "", validate=HTTP)
FETCH_RATE_LIMIT = env.int("FETCH_RATE_LIMIT", 0, validate=Range(0))  # bytes a second; 0: as fast as it goes
FETCH_SLEEP_S = env.float("FETCH_SLEEP_S", 5.0, validate=Range(0))  # before each download: guests may have about 300 videos an hour
YOUTUBE_API_KEY = env.str("YOUTUBE_API_KEY", "")  # of the Data API, which alone tells the videos that are made for kids
# Hosts that downloads may connect to besides YouTube's own.
FETCH_HOSTS: list[str] = env.list("FETCH_HOSTS", [], validate=_bare_names)
MEDIA_QUOTA_GB = env.float("MEDIA_QUOTA_GB", 0, validate=Range(0))  # what recordings may take; 0: as much as there is
JOB_RETENTION_DAYS = env.int(
    "JOB_RETENTION_DAYS", 90, validate=Range(1, 36_500)
)  # finished jobs, bundles, and what the page of predictions heard
TRACK_MAX_MINUTES = env.int("TRACK_MAX_MINUTES", 60, validate=Range(1))  # longer recordings are refused when they are converted

# --- language, time, API -------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("id", "Bahasa Indonesia")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "config.formats"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_SAMESITE = "Lax"
TIME_ZONE = env.str("TIME_ZONE", "UTC", validate=OneOf(available_timezones(), error="no such time zone"))
USE_TZ = True
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "datasets.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "datasets.parsers.PlainJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["config.security.AnonThrottle", "rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "60/min", "user": "3000/min"},  # in each web process
    "NUM_PROXIES": PROXY_COUNT,
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 100,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.api.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MER Studio",
    "DESCRIPTION": "Label music by emotion, freeze releases, train and compare networks.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {"JobStateEnum": "datasets.models.Job.State"},
}
UNFOLD = {
    "SITE_TITLE": "MER Studio",
    "SITE_HEADER": "MER Studio",
    "SITE_SYMBOL": "graphic_eq",
    "SHOW_HISTORY": True,
    "DASHBOARD_CALLBACK": "config.dashboard.dashboard",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/mark.svg")}],
    "STYLES": [lambda request: static("css/dashboard.css")],
    "SCRIPTS": [lambda request: static("js/forms.js")],
    # The studio's own blue (static/css/tokens.css), light to dark.
    "COLORS": {
        "primary": {
            "50": "#f1f4fb",
            "100": "#e6eaf5",
            "200": "#c9d4f0",
            "300": "#9fb6f5",
            "400": "#a9bcf2",
            "500": "#8ea6e8",
            "600": "#2f4a8a",
            "700": "#273e75",
            "800": "#20335f",
            "900": "#1a2a4e",
            "950": "#101a33",
        }
    },
}

LOG_FORMAT = env.str("LOG_FORMAT", "plain", validate=OneOf(["plain", "json"]))
logging.captureWarnings(True)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"trace": {"()": "datasets.tracing.Trace"}, "strangers": {"()": "datasets.tracing.Strangers"}},
    "formatters": {
        "plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "{asctime}{levelname}{name}{message}{request}{job}",
            "style": "{",
            "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
        },
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["trace"]},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console"], "level": env.log_level("LOG_LEVEL", logging.WARNING)},
    "loggers": {
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        "django.security.RequestDataTooBig": {"handlers": ["nowhere"], "propagate": False},
        "django.security.TooManyFieldsSent": {"handlers": ["nowhere"], "propagate": False},
        "django.security.TooManyFilesSent": {"handlers": ["nowhere"], "propagate": False},
        "gunicorn.http.wsgi": {"level": "ERROR"},  # it drops the body of an answer to HEAD, as it should, and warns each time
        "django.request": {"level": "ERROR", "filters": ["strangers"]},  # a refusal (403, 404) is no incident
        "axes": {"level": "ERROR"},
        "gunicorn.error": {"level": "WARNING", "filters": ["strangers"]},
    },
}
