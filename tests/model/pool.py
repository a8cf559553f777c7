"""Values of the production code as small numbers, so that a state of the model is cheap to keep and to compare."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Pool(Generic[T]):
    """Gives equal values of one type the same number. What is in it is never changed."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[type, bytes], int] = {}
        self._values: list[T] = []

    def number(self, value: T) -> int:
        key = key_of(value)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._values)
            self._values.append(value)
        return found

    def __getitem__(self, number: int) -> T:
        return self._values[number]


_encode = msgspec.msgpack.Encoder().encode


def key_of(value: msgspec.Struct) -> tuple[type, bytes]:
    """What two values have in common if and only if they are equal; some of them hold dictionaries and have no hash."""
    return type(value), _encode(value)
