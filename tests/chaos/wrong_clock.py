"""``python wrong_clock.py SEED ...``: ``sureclose`` on a machine whose wall clock is minutes off and is set every few seconds.

A machine's clock can't be set from here, so it is set for one process: before anything of ours is imported.
"""

import random
import sys
import time

LARGEST_NS = 300 * 10**9
EVERY_S = 7


def main() -> None:
    seed = sys.argv[1]
    sys.argv[:2] = ["sureclose"]
    right, steady = time.time_ns, time.monotonic

    def wrong() -> int:
        chance = random.Random(f"{seed}:{steady() // EVERY_S}")
        return right() + chance.randint(-LARGEST_NS, LARGEST_NS)

    time.time_ns = wrong
    time.time = lambda: wrong() / 10**9

    from sureclose.cli.main import main as sureclose

    sureclose()


if __name__ == "__main__":
    main()
