"""Celery's beat, which goes on when the clock of its machine is put back: by itself it would send nothing until the time is caught up."""

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    def tick(self, *args: Any, **kwargs: Any) -> float:
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at > entry.default_now()]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            self._heap = None  # what is due when is reckoned anew
        wait: float = super().tick(*args, **kwargs)
        return wait
