"""Sureclose: an approved decision to close becomes exactly one confirmed reducing order."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sureclose.client import (
        AsyncClient,
        AsyncClose,
        Client,
        ClientError,
        Close,
        CloseGoesOn,
        CloseState,
        Conflict,
        NotFound,
        Refused,
        Unauthorised,
        Unavailable,
    )

__version__ = "0.1.0"
__all__ = [
    "AsyncClient",
    "AsyncClose",
    "Client",
    "ClientError",
    "Close",
    "CloseGoesOn",
    "CloseState",
    "Conflict",
    "NotFound",
    "Refused",
    "Unauthorised",
    "Unavailable",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """The client's names, brought in by the first use: the program itself needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module("sureclose.client"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
