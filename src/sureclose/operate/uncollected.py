"""Work that makes thousands of lists and no cycles, without somebody looking for cycles among them.

What is read is freed by its reference counts. The collector would look through each page several times, which took a third of
a drain's processor time; so it looks when it is asked, and not at what was there before.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_EVERY: Final = 200


@contextmanager
def uncollected() -> Iterator[Callable[[], None]]:
    """To be called now and then, such as once a page, so that what few cycles there are go too."""
    calls = 0

    def passed() -> None:
        nonlocal calls
        calls += 1
        if calls % _EVERY == 0:
            gc.collect()

    was_on = gc.isenabled()
    gc.freeze()
    gc.disable()
    try:
        yield passed
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
