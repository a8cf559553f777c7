"""A machine whose wall clock is minutes off and is set every few seconds, for one process.

A machine's clock can't be set from a test. Python imports this before anything of ours when its folder is on the path.
"""

import os
import random
import time

LARGEST_NS = 300 * 10**9
EVERY_S = 7

_SEED = os.environ["CHAOS_CLOCK"]
_right, _steady = time.time_ns, time.monotonic


def wrong_ns() -> int:
    """The same error until the clock is set the next time."""
    chance = random.Random(f"{_SEED}:{_steady() // EVERY_S}")
    return _right() + chance.randint(-LARGEST_NS, LARGEST_NS)


def wrong_s() -> float:
    return wrong_ns() / 10**9


time.time_ns, time.time = wrong_ns, wrong_s
