"""Who may come in: a known token, of the right scope, within its rate."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from sureclose.operate.api.limits import Rates
from sureclose.operate.api.problems import Kind, Problem, later
from sureclose.operate.api.tokens import Token, Tokens
from sureclose.services.settings import HttpSettings
from sureclose.services.settings_tokens import Scope

FAILURES_PER_S: Final = 20
"""Requests without a known token that one address is told why; further ones are told to wait."""
LONGEST_ADDRESS: Final = 2_048
"""Characters of path and query: an id of 200 that needs escapes takes 1,800."""
_REALM: Final = 'Bearer realm="sureclose"'


class Admission:
    """What is asked of each request before it is read. A flood without a token locks out nobody who has one."""

    def __init__(self, settings: HttpSettings, monotonic: Callable[[], float]) -> None:
        self._tokens = Tokens(settings)
        self._rates = Rates(settings.rate_per_s, monotonic)
        self._failures = Rates(FAILURES_PER_S, monotonic)

    def admit(self, request: web.Request, scope: Scope) -> Token:
        """The token that the request comes with. Raises ``Problem``."""
        if len(request.raw_path) > LONGEST_ADDRESS:
            raise Problem(
                Kind.ADDRESS_TOO_LONG, f"path and query may have {LONGEST_ADDRESS} characters in all"
            )
        if not self._tokens:
            raise Problem(
                Kind.NO_TOKENS,
                "this door is shut until a token is configured: run `sureclose token new NAME`, put the lines that it prints "
                "into the configuration, and start `sureclose run` again",
            )
        token = self._found(request)
        if scope not in token.scopes:
            raise Problem(
                Kind.SCOPE_MISSING,
                f"the token {token.name} lacks the scope {scope}; add it to its scopes in the configuration",
                headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
                scope=str(scope),
            )
        if wait := self._rates.take(token.name):
            raise later(Kind.RATE, "http.rate_per_s says how many a second may come with one token", wait)
        return token

    def charge(self, token: Token, looks: int) -> None:
        """A request that looks at many closes counts as many."""
        self._rates.owe(token.name, looks - 1)

    def _found(self, request: web.Request) -> Token:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        given = secret.strip() if scheme.lower() == "bearer" else ""
        if given and (token := self._tokens.find(given)) is not None:
            return token
        if wait := self._failures.take(request.remote or ""):
            raise later(Kind.TOO_MANY_FAILURES, "send a token that is known, or less", wait)
        error = ', error="invalid_token"' if given else ""
        raise Problem(
            Kind.TOKEN_NEEDED,
            "the token is not known; look at [[http.tokens]] of the configuration"
            if given
            else "send the header `Authorization: Bearer TOKEN`; `sureclose token new NAME` makes a token",
            headers={"WWW-Authenticate": _REALM + error},
        )
