"""The Python client: what a program asks of a running Sureclose, over the published HTTP API and nothing else."""

from sureclose.client.aio import AsyncClient
from sureclose.client.close import AsyncClose, Close, CloseData
from sureclose.client.errors import (
    BadAnswer,
    ClientError,
    CloseGoesOn,
    Conflict,
    NotFound,
    Refused,
    Unauthorised,
    Unavailable,
)
from sureclose.client.states import CloseState
from sureclose.client.sync import Client

__all__ = [
    "AsyncClient",
    "AsyncClose",
    "BadAnswer",
    "Client",
    "ClientError",
    "Close",
    "CloseData",
    "CloseGoesOn",
    "CloseState",
    "Conflict",
    "NotFound",
    "Refused",
    "Unauthorised",
    "Unavailable",
]
