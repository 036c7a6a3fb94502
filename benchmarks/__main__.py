"""`make bench`: every benchmark of this folder, side by side with what a user would run instead."""

import runpy
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("*.py")):
    if path.stem not in ("__init__", "__main__", "bare", "study", "precision", "training_way"):
        print(f"== {path.stem}", flush=True)
        runpy.run_module(f"benchmarks.{path.stem}", run_name="__main__")
