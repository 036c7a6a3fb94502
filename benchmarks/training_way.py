"""One way of `benchmarks.training` in a process of its own: python -m benchmarks.training_way plain|plain-without-xla|ours NETWORK FOLDER STEPS."""

import json
import sys
from pathlib import Path

from benchmarks.training import run

print(json.dumps(run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
