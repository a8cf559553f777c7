"""What a foreign program posts when something happened: JSON, ``key=value`` pairs or a sentence, and places in it.

Nothing is guessed and nothing is rounded: a number stays the text that it was written with.
"""

import json
import re
from typing import Any, Final, TypeAlias

import msgspec

Tree: TypeAlias = dict[str, "Tree"] | list["Tree"] | str | None
"""JSON whose numbers and booleans are texts as they were written."""

_STEP: Final = re.compile(r"\.([^.\[\]\s]+)|\[([0-9]{1,6})\]|\[\"([^\"]+)\"\]|\['([^']+)'\]")
_INDEX: Final = re.compile(r"[0-9]{1,6}")
_BLANK: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_BETWEEN: Final = re.compile(r"[\s,;&]+")


class AlertUnreadable(ValueError):
    """The body is no alert that can be read; the message says why."""


class Missing(LookupError):
    """There is nothing at that place; the message names it."""


class Place(msgspec.Struct, frozen=True):
    """A place in an alert, written ``$.a.b``, ``$.list[0].c`` or ``$["a name with spaces"]``; ``$`` is all of it."""

    text: str
    steps: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Raises ``ValueError`` for what is none."""
        steps, at = [], 1
        while at < len(text):
            found = _STEP.match(text, at)
            if found is None:
                break
            steps.append(next(part for part in found.groups() if part is not None))
            at = found.end()
        if not text.startswith("$") or at != len(text):
            raise ValueError(f'{text!r} is no place in an alert; write $.name, $.list[0].name or $["a name"]')
        return cls(text, tuple(steps))

    def find(self, tree: Tree) -> Tree:
        """What stands there. Raises ``Missing``."""
        for step in self.steps:
            if isinstance(tree, dict) and step in tree:
                tree = tree[step]
            elif isinstance(tree, list) and _INDEX.fullmatch(step) and int(step) < len(tree):
                tree = tree[int(step)]
            else:
                raise Missing(f"there is nothing at {self.text}")
        return tree

    def text_in(self, tree: Tree) -> str:
        """The one value that stands there, without the spaces around it. Raises ``Missing``, for an empty one too."""
        found = self.find(tree)
        if isinstance(found, dict | list):
            raise Missing(f"at {self.text} stands a structure, not one value")
        if found is None or not found.strip():
            raise Missing(f"there is nothing at {self.text}")
        return found.strip()

    def removed_from(self, tree: Tree) -> Tree:
        """The alert without what stands there; it is changed in its place."""
        if not self.steps:
            return None
        try:
            above = Place(self.text, self.steps[:-1]).find(tree)
        except Missing:
            return tree
        last = self.steps[-1]
        if isinstance(above, dict):
            above.pop(last, None)
        elif isinstance(above, list) and _INDEX.fullmatch(last) and int(last) < len(above):
            above[int(last)] = None
        return tree


class Template(msgspec.Struct, frozen=True):
    """A sentence with blanks, as in ``close {symbol} at {price}``: how a sender writes its alert as text.

    Read from left to right and never back: no body takes longer than its length.
    """

    text: str
    head: str
    blanks: tuple[tuple[str, str], ...]
    """Each with the words that end it; the last may have none."""

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Raises ``ValueError`` for what is none."""
        parts = _BLANK.split(" ".join(text.split()))
        head, names, ends = parts[0], parts[1::2], parts[2::2]
        if not names:
            raise ValueError(f"{text!r} has no blank; write it as in `close {{symbol}} {{secret}}`")
        if len(set(names)) < len(names):
            raise ValueError(f"{text!r} has a blank twice; give each a name of its own")
        if not all(ends[:-1]):
            raise ValueError(
                f"{text!r} has two blanks with nothing between them, so nothing tells them apart"
            )
        return cls(text, head, tuple(zip(names, ends, strict=True)))

    def read(self, said: str) -> dict[str, Tree]:
        """The blanks by their names. Raises ``AlertUnreadable``."""
        rest = " ".join(said.split())
        if not rest.startswith(self.head):
            raise self._other()
        rest = rest[len(self.head) :]
        found: dict[str, Tree] = {}
        for number, (name, end) in enumerate(self.blanks, 1):
            if number == len(self.blanks):
                if not rest.endswith(end):
                    raise self._other()
                value, rest = rest[: len(rest) - len(end)], ""
            else:
                value, met, rest = rest.partition(end)
                if not met:
                    raise self._other()
            if not value.strip():
                raise self._other()
            found[name] = value.strip()
        return found

    def _other(self) -> AlertUnreadable:
        return AlertUnreadable(f"the body is not as the template has it: {self.text!r}")


def read_alert(raw: bytes, template: Template | None = None) -> Tree:
    """The body as a tree, whatever its sender calls it: JSON, ``key=value`` pairs, or one text. Raises ``AlertUnreadable``."""
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise AlertUnreadable("the body is no UTF-8") from None
    if template is not None:
        return template.read(text)
    if not text:
        raise AlertUnreadable("the body is empty")
    try:
        tree: Tree = _plain(_JSON.decode(text))
        wording(tree)
    except json.JSONDecodeError as error:
        if text[0] in '{["':
            raise AlertUnreadable(f"the body is not JSON: {error}") from None
        return _pairs(text)
    except RecursionError:
        raise AlertUnreadable("the body is nested too deeply") from None
    return tree


def wording(tree: Tree) -> str:
    """The alert as one text, the same however it was laid out."""
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))


def _pairs(text: str) -> Tree:
    """``key=value`` separated by spaces, commas, semicolons or ampersands; anything else is one text."""
    words = [word for word in _BETWEEN.split(text) if word]
    split = [word.partition("=") for word in words]
    if not all(name and equals for name, equals, _ in split):
        return text
    return _once([(name, value) for name, _, value in split])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in pairs}
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise AlertUnreadable(f"{twice!r} stands twice in the body")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_plain(one) for one in value] if isinstance(value, list) else value


_JSON: Final = json.JSONDecoder(object_pairs_hook=_once, parse_float=str, parse_int=str, parse_constant=str)
