"""How log lines leave the process: to standard error only, readable by people and by the journal, without secrets.

Under systemd the journal has the time and the level of each line, so lines carry neither, but the sd-daemon(3) prefix
that tells the journal the level.
"""

import json
import logging
import math
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from decimal import Decimal
from typing import Any, Final, TextIO

import msgspec
import structlog

from sureclose.venue.secret import MASK, Secret

_SYSLOG: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_COLORS: Final = {"critical": "\x1b[1;31m", "error": "\x1b[31m", "warning": "\x1b[33m", "debug": "\x1b[2m"}
_RESET: Final = "\x1b[0m"

_SECRET_NAMES: Final = (
    *("apikey", "apisecret", "secret", "token", "password", "passwd", "signature", "listenkey"),
    *("authorization", "privatekey", "credential", "credentials", "cookie", "webhookurl"),
)
"""A key that ends so, whatever its case and punctuation, has a secret value."""
_NAMED: Final = re.compile(
    r"(?P<name>(?:api[_-]?key|secret|token|password|passwd|signature|listen[_-]?key)[\"']?\s*[=:]\s*)"
    r"(?!Secret\('\*\*\*'\))"
    r"(?:(?P<quote>[\"'])(?:\\.|(?!(?P=quote)).)*(?P=quote)?|[^\s&\"',;)}\]]+)",
    re.IGNORECASE | re.DOTALL,
)
_BEARER: Final = re.compile(r"\b(?P<name>bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_IN_URL: Final = re.compile(r"(?P<user>[a-z][a-z0-9+.-]*://[^\s/?#:@]*):[^\s/?#]*@", re.IGNORECASE)
_DEEPEST: Final = 8

_EventDict = MutableMapping[str, Any]


def configure(
    *,
    verbose: bool = False,
    as_json: bool = False,
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Send every log line of this process to ``stream`` (standard error), those of the libraries included."""
    stream = sys.stderr if stream is None else stream
    journal = _is_journal(stream, os.environ if environment is None else environment)
    sink = _Sink(stream)
    stamp: list[structlog.typing.Processor] = [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([] if journal else stamp),
            structlog.processors.format_exc_info,
            sink.confess,
            redact,
            _Renderer(as_json=as_json, journal=journal, colors=not journal and stream.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        handlers=[_FromLibraries()], level=logging.INFO if verbose else logging.WARNING, force=True
    )


def redact(_logger: object, _method: str, event_dict: _EventDict) -> _EventDict:
    """Nothing secret goes further: not as a ``Secret``, not under a telling key, not inside a text or a URL."""
    return {key: _clean(value, key, 0) for key, value in event_dict.items()}


def redacted(text: str) -> str:
    """The text without the credentials that it names."""
    text = _IN_URL.sub(rf"\g<user>:{MASK}@", text)
    text = _BEARER.sub(rf"\g<name> {MASK}", text)
    return _NAMED.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    return f"{found['name']}{quote}{MASK}{quote}"


def _clean(value: object, key: str, depth: int) -> Any:
    """The value in plain types: text, number, truth value, None, list, dict."""
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, Secret) or _is_secret(key):
        return MASK
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, str):
        return redacted(str(value))
    if isinstance(value, int | float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        return {str(name): _clean(item, str(name), depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, key, depth + 1) for item in value]
    return redacted(str(value))


def _is_secret(key: str) -> bool:
    return "".join(filter(str.isalpha, key.casefold())).endswith(_SECRET_NAMES)


class _Renderer:
    """``event key=value ...`` on one line, or one JSON object; a traceback follows on indented lines of its own.

    A line break or control character in a value is escaped: no text from outside can pose as a line of ours.
    """

    def __init__(self, *, as_json: bool, journal: bool, colors: bool) -> None:
        self._as_json = as_json
        self._journal = journal
        self._colors = colors

    def __call__(self, _logger: object, _method: str, event_dict: _EventDict) -> str:
        level = event_dict.get("level", "info")
        prefix = f"<{_SYSLOG.get(level, 6)}>" if self._journal else ""
        if self._as_json:
            return prefix + json.dumps(event_dict, ensure_ascii=False, default=str)
        lines = self._lines(event_dict, level)
        return "\n".join(prefix + line for line in lines)

    def _lines(self, event_dict: _EventDict, level: str) -> list[str]:
        fields = dict(event_dict)
        del fields["level"]
        trace = str(fields.pop("exception", ""))
        head = _text(fields.pop("event", ""))
        if not self._journal:
            word = f"{level:<8}"
            if self._colors and level in _COLORS:
                word = f"{_COLORS[level]}{word}{_RESET}"
            head = f"{fields.pop('timestamp', '')} {word} {head}"
        line = " ".join((head, *(f"{key}={_text(value)}" for key, value in fields.items())))
        return [line, *("    " + _visible(part) for part in trace.splitlines())]


def _text(value: object) -> str:
    """A value as it stands when it can't be misread, else quoted as JSON."""
    if isinstance(value, str):
        plain = value.isprintable() and not any(sign in value for sign in " \"'=")
        return value if plain and value else json.dumps(value, ensure_ascii=not value.isprintable())
    return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))


def _visible(line: str) -> str:
    return line if line.isprintable() else line.encode("unicode_escape").decode()


class _Sink:
    """Where lines go. One that can't be written must not stop a close: it is counted, and told of with the next."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def msg(self, message: str) -> None:
        try:
            self._stream.write(message + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # gone, full, or closed
            self._lost += 1
        else:
            self._lost = 0

    log = debug = info = warning = error = critical = exception = fatal = msg

    def confess(self, _logger: object, _method: str, event_dict: _EventDict) -> _EventDict:
        """How many lines before this one were lost."""
        return {**event_dict, "lines_lost": self._lost} if self._lost else event_dict


class _FromLibraries(logging.Handler):
    """Lines of the standard library's logging take the same way, and so pass the same redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        structlog.get_logger().log(level, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """systemd.exec(5): JOURNAL_STREAM is the device and inode of the journal's socket, if that is what we write to."""
    named = environment.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
