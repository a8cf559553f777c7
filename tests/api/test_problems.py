"""Problems: a closed list, told in one form."""

import re
from pathlib import Path

import msgspec

from sureclose.operate.api.problems import Kind, Problem, later


def test_each_kind_says_its_status_and_what_it_is() -> None:
    for kind in Kind:
        assert kind.status >= 400
        assert kind.heading


def test_a_problem_is_a_document_with_its_type_and_what_more_is_known() -> None:
    answer = Problem(Kind.REFUSED, "fraction is 25", reason="absurd", remedy="").response()
    assert (answer.status, answer.content_type) == (422, "application/problem+json")
    assert isinstance(answer.body, bytes)
    assert msgspec.json.decode(answer.body) == {
        "type": "/v1/docs#refused",
        "title": "The wish is refused",
        "status": 422,
        "detail": "fraction is 25",
        "reason": "absurd",
    }


def test_what_passes_says_after_how_many_whole_seconds() -> None:
    for seconds, said in ((0.001, "1"), (1.0, "1"), (1.2, "2")):
        assert later(Kind.RATE, "", seconds).response().headers["Retry-After"] == said


def test_the_page_about_the_door_lists_each_with_its_status() -> None:
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    listed = re.findall(r"^\| `/v1/docs#([a-z-]+)` \| ([0-9]+) \|", page, re.MULTILINE)
    assert listed == [(str(kind), str(kind.status.value)) for kind in Kind]
