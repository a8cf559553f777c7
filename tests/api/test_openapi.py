"""The document and the page say what is there: no more, no less."""

import re
from typing import Any, cast

import msgspec
import pytest

from sureclose.operate.api.bodies import AnyBody
from sureclose.operate.api.door import DOCUMENT, PAGE, Door
from sureclose.operate.api.openapi import openapi, problems_of
from sureclose.operate.api.page import page
from sureclose.operate.api.problems import Kind
from sureclose.operate.closes import CloseView
from sureclose.operate.session import Session
from sureclose.services.settings import HttpSettings
from sureclose.streams.connection import Log, LogSettings


@pytest.fixture
def door() -> Door:
    settings = dict.fromkeys(Session.__struct_fields__, cast("Any", None))
    settings |= {
        "http": HttpSettings(),
        "monotonic": lambda: 0.0,
        "log": Log(LogSettings(url="redis://127.0.0.1:1")),
    }
    return Door(Session(**settings))


@pytest.fixture
def document(door: Door) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi(door.operations)))
    return found


def test_each_route_is_in_the_document_and_each_path_of_it_is_a_route(
    door: Door, document: dict[str, Any]
) -> None:
    routes = {(route.method.lower(), route.path) for route in door.routes()}
    said = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert routes == said | {("get", DOCUMENT), ("get", PAGE)}


def test_each_operation_says_every_status_that_its_problems_have(
    door: Door, document: dict[str, Any]
) -> None:
    for one in door.operations:
        responses = document["paths"][one.path][one.method.lower()]["responses"]
        wanted = {str(one.status.value), *(str(kind.status.value) for kind in problems_of(one))}
        assert set(responses) == wanted
        for kind in problems_of(one):
            assert f"`{kind}`" in responses[str(kind.status.value)]["description"]


def test_each_problem_is_met_by_some_operation(door: Door) -> None:
    """But for the one of hooks, whose bodies and secrets are their senders': docs/webhooks.md has them."""
    met = {kind for one in door.operations for kind in problems_of(one)}
    assert met == set(Kind) - {Kind.HOOK_UNKNOWN}


def test_bodies_and_answers_are_the_types_that_are_read_and_written(
    door: Door, document: dict[str, Any]
) -> None:
    schemas = document["components"]["schemas"]
    for one in door.operations:
        if one.body is not None:
            assert issubclass(one.body, AnyBody)
            assert set(schemas[one.body.__name__]["properties"]) == set(one.body.__struct_fields__)
            assert schemas[one.body.__name__]["additionalProperties"] is False
    assert set(schemas["CloseView"]["properties"]) == set(CloseView.__struct_fields__)
    amounts = schemas["CloseBody"]["properties"]["fraction"]["anyOf"]
    assert amounts[0]["type"] == ["string", "number"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = msgspec.json.encode(document).decode()
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names
    assert names <= set(document["components"]["schemas"])


def test_the_page_needs_nothing_from_elsewhere_and_has_a_paragraph_for_each_problem(
    document: dict[str, Any],
) -> None:
    html = page(document)
    assert not re.search(r"<script|src=|@import|https?://", html)
    assert {*re.findall(r'href="([^"#]+)"', html)} == {DOCUMENT}
    places = re.findall(r'id="([^"]+)"', html)
    assert len(places) == len(set(places))
    assert {*re.findall(r'href="#([^"]+)"', html)} <= set(places)
    assert {str(kind) for kind in Kind} <= set(places)
    for path in document["paths"]:
        assert path in html
