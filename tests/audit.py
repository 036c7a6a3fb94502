"""python -m tests.audit: known vulnerabilities of everything that is installed. Part of `make lint`.

pip-audit ends with 0 when it could audit nothing. Here a package that was skipped while others were audited is a failure; an index without
vulnerability data at all (a mirror on a closed network) is said loudly and does not stop the lint: there is nothing to decide by.
"""

import json
import subprocess
import sys
from pathlib import Path


def main() -> int:
    folder = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [Path(sys.executable).with_name("pip-audit"), "--format", "json", "--progress-spinner", "off", "--path", folder],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"NOT AUDITED: pip-audit did not answer: {done.stderr.strip()[-300:]}")
        return 0
    skipped = [row["name"] for row in found if "skip_reason" in row]
    vulnerable = [f"{row['name']} {row['version']}: {one['id']}" for row in found for one in row.get("vulns", [])]
    if len(skipped) == len(found):
        print(f"NOT AUDITED: this machine's package index has no vulnerability data ({len(found)} packages).")
        return 0
    for line in vulnerable:
        print(f"VULNERABLE: {line}")
    for name in skipped:
        print(f"SKIPPED: {name} could not be audited, though others could")
    print(f"{len(found) - len(skipped)} packages audited, {len(vulnerable)} known vulnerabilities.")
    return 1 if vulnerable or skipped else 0


if __name__ == "__main__":
    sys.exit(main())
