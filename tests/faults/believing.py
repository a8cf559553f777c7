"""What Sureclose believed of a close, in words: its journal, one after the other."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

_VIA: Final = {"answer": "answer", "query": "query", "stream": "stream", "order_list": "list of orders"}
_TIMES: Final = {2: " twice", 3: " three times"}
_LONGEST_RUN: Final = 6
_SILENT: Final = frozenset({"ADMITTED"})
"""Said of every close, so it tells nothing."""


def beliefs_of(facts: Iterable[dict[str, Any]]) -> str:
    """The journal as one line; what was said again and again is said once, for how often is a matter of moments."""
    words = _words(list(facts))
    said = []
    at = 0
    while at < len(words):
        length, count = _repeated(words, at)
        part = " → ".join(words[at : at + length])
        if count > 1:
            part = f"({part})" if length > 1 else part
            part += _TIMES.get(count, " several times")
        said.append(part)
        at += length * count
    return " → ".join(said)


def _repeated(words: Sequence[str], at: int) -> tuple[int, int]:
    """The run of words here that is said most often in a row: its length, and how often."""
    best = 1, 1
    for length in range(1, _LONGEST_RUN + 1):
        run, count = words[at : at + length], 1
        while words[at + count * length : at + (count + 1) * length] == run:
            count += 1
        if count > 1 and length * count > best[0] * best[1]:
            best = length, count
    return best


def _words(facts: Sequence[dict[str, Any]]) -> list[str]:
    words = []
    sized = False
    for fact in facts:
        if fact["fact"] == "SEEN" and fact["order"]["status"] == "NEW":
            continue  # whether it was seen before its end is a matter of moments
        if fact["fact"] in _SILENT or (fact["fact"] == "SIZED" and not sized):
            sized = sized or fact["fact"] == "SIZED"
            continue
        words.append(_word(fact))
    return words


def _word(fact: dict[str, Any]) -> str:
    match fact["fact"]:
        case "SIZED":
            return "sized anew"
        case "SENDING":
            price = " as LIMIT" if fact.get("limit_price") else ""
            return f"{'sent' if fact['attempt'] == 1 else 'sent again'}{price}"
        case "NOTSENT":
            return "not sent"
        case "ANSWERED" if fact["answer"] == "refused":
            return f"refused {fact.get('code')}"
        case "ANSWERED":
            known = fact.get("code") or fact.get("http_status")
            return f"unknown ({known})" if known else "unknown (no answer)"
        case "SEEN":
            return f"{fact['order']['status']} by {_VIA[fact['via']]}"
        case "FILLED":
            return "trades read" if fact.get("trades") else "nothing executed"
        case "DEAD":
            return "proven dead"
        case "ENDED":
            outcome = fact["outcome"]
            inside = [str(part) for part in (outcome.get("code"), outcome.get("reason")) if part]
            kind = str(outcome["kind"])
            return f"{kind}({', '.join(inside)})" if inside else kind
        case other:
            return str(other).lower()
