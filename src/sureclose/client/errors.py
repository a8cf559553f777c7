"""What can go wrong between a program and Sureclose, each with what to do about it."""

from sureclose.client.close import CloseData
from sureclose.client.problem import Problem


class ClientError(Exception):
    """What Sureclose, or the way to it, said instead of an answer."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        said = problem.detail or problem.title
        super().__init__(said if problem.remedy in said else f"{said}; {problem.remedy}")

    @property
    def type(self) -> str:
        """The problem's type, as the API has it."""
        return self.problem.type

    @property
    def status(self) -> int:
        """The HTTP status; 0 where there was no answer."""
        return self.problem.status

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.problem.remedy


class Unauthorised(ClientError):
    """There is no token, nobody knows it, or it has not the scope that this needs."""


class Refused(ClientError):
    """The wish was understood and will not be taken in, or could not be understood. Nothing was asked for."""

    @property
    def reason(self) -> str:
        """One word for it, such as ``expired`` or ``other_mode``, where there is one."""
        return self.problem.reason


class NotFound(ClientError):
    """Nobody knows a close of that id."""


class Conflict(ClientError):
    """Something else was asked for under this key or id before. Nothing was asked for now."""


class Unavailable(ClientError):
    """There was no answer in all tries: what was asked for may have been taken in, or not.

    ``idempotency_key`` and ``intent_id`` are what the tries went under: whoever repeats the call with them asks for the same
    close, however often.
    """

    def __init__(
        self, problem: Problem, *, idempotency_key: str | None = None, intent_id: str | None = None
    ) -> None:
        self.idempotency_key = idempotency_key
        self.intent_id = intent_id
        super().__init__(problem)


class BadAnswer(ClientError):
    """The answer is none that the API has: this is not Sureclose, or one that is much younger than this client."""


class CloseGoesOn(TimeoutError):
    """There is no outcome in time, and nothing is lost by it: ``close`` is how far it was, where anybody could tell."""

    def __init__(self, message: str, close: CloseData | None) -> None:
        super().__init__(message)
        self.close = close
