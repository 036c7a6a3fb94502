from typing import Any

from django.core.management.base import CommandError, CommandParser

from config import demo
from datasets.management.command import StudioCommand


class Command(StudioCommand):
    help = "Load the synthetic demo (tracks, simulated ratings, a release, two queued runs, four accounts), or remove all of it."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--remove", action="store_true", help="Take everything of the demo out again.")
        parser.add_argument("--all", action="store_true", help="With --remove: also tracks that people brought into the demo.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        if options["remove"]:
            try:
                n = demo.remove(even_others=options["all"])
            except demo.DemoRefused as reason:
                raise CommandError(str(reason)) from None
            return (
                {"removed": n},
                f"The demo is gone: {n} tracks, their ratings, releases, runs and files, and the demo accounts.",
                True,
            )
        try:
            demo.load(self.progress)
        except demo.DemoRefused as reason:
            raise CommandError(str(reason)) from None
        return (
            {"accounts": demo.ACCOUNTS},
            f"The demo is loaded. Accounts: {', '.join(demo.ACCOUNTS)}; password in {demo.password_file()}.",
            True,
        )
