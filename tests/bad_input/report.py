"""Print the table of malformed inputs as counts: python tests/bad_input/report.py [--messages]."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bad_input.cases import CASES  # noqa: E402
from tests.bad_input.good import make_good  # noqa: E402
from tests.bad_input.run import run_case  # noqa: E402


def main() -> int:
    """Run all cases; exit code 1 if any is not refused as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", action="store_true", help="print every message")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with TEXT in their name")
    args = parser.parse_args()
    counts: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        good = Path(scratch) / "good"
        good.mkdir()
        make_good(good)
        for number, case in enumerate(case for case in CASES if args.only in case.name):
            outcome = run_case(case, good, Path(scratch) / str(number))
            problems = outcome.problems(case.expected)
            row = counts.setdefault(case.kind, [0] * 5)
            for column, good_so_far in enumerate(
                (True, not problems, not outcome.crash, outcome.code == 2, not outcome.changed)
            ):
                row[column] += good_so_far
            if args.messages or problems:
                print(f"{case.name}: {outcome.err.strip()}")
            for problem in problems:
                print(f"  PROBLEM {problem}", flush=True)
    header = ["kind of input", "cases", "refused well", "no traceback", "exit code 2", "no writing"]
    print("  ".join([f"{header[0]:24}", *header[1:]]))
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    for kind, row in {**counts, "all": total}.items():
        cells = (f"{n:>{len(name)}}" for n, name in zip(row, header[1:], strict=True))
        print("  ".join([f"{kind:24}", *cells]))
    return int(total[0] != total[1])


if __name__ == "__main__":
    sys.exit(main())
