"""Says how much of the code the tests reached, by ``coverage json``, and fails below the least: CI's threshold."""

import json
import sys
from pathlib import Path

LEAST = {"lines": 92.0, "branches": 85.0}  # % of gem_ros, what the tests start in processes of its own included
SHOWN = 8  # files with most lines that were not reached


def main(path: str) -> int:
    """1 where too little was reached."""
    report = json.loads(Path(path).read_text(encoding="utf-8"))
    totals, files = report["totals"], report["files"]
    reached = {
        "lines": 100 * totals["covered_lines"] / totals["num_statements"],
        "branches": 100 * totals["covered_branches"] / totals["num_branches"],
    }
    for name, share in reached.items():
        print(f"{name}: {share:.1f} %, at least {LEAST[name]:g} %")
    for file in sorted(files, key=lambda each: -files[each]["summary"]["missing_lines"])[:SHOWN]:
        print(f"  {files[file]['summary']['missing_lines']:4} lines not reached: {file}")
    return int(any(reached[name] < LEAST[name] for name in LEAST))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
