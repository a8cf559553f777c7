"""The OpenAPI 3.1 document, made from the table of operations and the documents' own types, so that it can't say else."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sureclose import __version__
from sureclose.operate.api.bodies import ProblemDocument
from sureclose.operate.api.operations import ALWAYS, Operation
from sureclose.operate.api.problems import Kind

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = "application/problem+json"
_EXACT: Final = {"type": ["string", "number"], "format": "decimal"}
"""An amount may be a text or a number; the types say only how it is written by us."""
_INFO: Final = (
    "Ask for a close, and see how far it is. Each wish is said once: with the same Idempotency-Key or intent_id again it is the "
    "same close. An answer never claims more than is known: where the log does not answer it is a 503, never a state."
)


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document."""
    types = [ProblemDocument, *(kind for one in operations for kind in (one.answer, one.body) if kind)]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    for name in ("CloseBody", "CloseAllBody"):
        for schema in components.get(name, {}).get("properties", {}).values():
            for choice in schema.get("anyOf", ()):
                if choice.get("format") == "decimal":
                    choice.update(_EXACT)
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sureclose", "version": __version__, "description": _INFO},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`sureclose token new NAME` makes one.",
                }
            },
        },
    }


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a type, by reference where it has a name."""
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REF)
    return schema


def problems_of(operation: Operation) -> list[Kind]:
    """In the order of their status."""
    return sorted({*ALWAYS, *operation.problems}, key=lambda kind: kind.status)


def _operation(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"{one.description} Scope: `{one.scope}`.",
        "security": [{"token": []}],
        "parameters": [
            {
                "name": parameter.name,
                "in": parameter.where,
                "required": parameter.required,
                "description": parameter.description,
                "schema": parameter.schema,
            }
            for parameter in one.parameters
        ],
        "responses": _responses(one),
    }
    if one.body is not None:
        content = {"application/json": {"schema": schema_of(one.body)}}
        found["requestBody"] = {"required": True, "content": content}
    return found


def _responses(one: Operation) -> dict[str, Any]:
    good: dict[str, Any] = {
        "description": one.status.phrase,
        "content": {one.media: {"schema": schema_of(one.answer)}},
    }
    if one.body is not None:
        good["headers"] = {"Location": {"schema": {"type": "string"}, "description": "Where the close is."}}
    found = {str(one.status.value): good}
    for kind in problems_of(one):
        status = str(kind.status.value)
        if status in found:
            found[status]["description"] += f"; {kind.heading.lower()} (`{kind}`)"
            continue
        found[status] = {
            "description": f"{kind.heading} (`{kind}`)",
            "content": {_PROBLEM: {"schema": schema_of(ProblemDocument)}},
        }
    return found
