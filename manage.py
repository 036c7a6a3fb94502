#!/usr/bin/env python
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit("Django is not installed here. Run `make run`, or use .venv/bin/python manage.py.") from error
    from environs import EnvError

    try:
        execute_from_command_line(sys.argv)
    except EnvError as error:
        raise SystemExit(f"A setting is malformed: {error}\nREADME.md lists the settings and their forms.") from None


if __name__ == "__main__":
    main()
