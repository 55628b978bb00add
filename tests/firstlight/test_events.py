"""Events survive the journal: encode → decode is the identity, for every event there is."""

from __future__ import annotations

import dataclasses
import json
import typing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight import events
from firstlight.errors import FirstlightError

finite = st.floats(allow_nan=False, allow_infinity=False)
times = st.datetimes(timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)


def event_of(cls: type) -> st.SearchStrategy[Any]:
    """Any value of an event class, from its annotations."""
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{f.name: value_of(hints[f.name]) for f in dataclasses.fields(cls)})


def value_of(hint: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) is tuple:
        return st.lists(value_of(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if dataclasses.is_dataclass(hint):
        return event_of(typing.cast(type, hint))
    if typing.get_args(hint):
        return st.one_of([value_of(part) for part in typing.get_args(hint)])
    return finite if hint is float else st.from_type(hint)


any_event = st.one_of([event_of(cls) for cls in typing.get_args(events.Event)])


@given(any_event, times, st.text())
def test_a_line_of_the_journal_gives_the_event_back(event: events.Event, time: datetime, run: str) -> None:
    stamped = events.Stamped(time=time, run=run, event=event)
    line = events.encode(stamped)
    assert "\n" not in line
    assert events.decode(line) == stamped


@given(any_event, times)
def test_an_older_screen_can_follow_a_newer_night(event: events.Event, time: datetime) -> None:
    stamped = events.Stamped(time=time, run="r", event=event)
    newer = json.loads(events.encode(stamped)) | {"a_field_of_tomorrow": 1}
    assert events.decode(json.dumps(newer)) == stamped


@pytest.mark.parametrize(
    "line",
    [
        *("", "{", "[]", '{"event": "no_such"}', '{"event": "log", "time": "x"}', "null"),
        '{"event": "connection_lost", "time": "2026-03-01T22:00Z", "run": "r", "what": "", "reason": null}',
    ],
)
def test_what_is_no_event_is_named(line: str) -> None:
    with pytest.raises(FirstlightError, match="not an event"):
        events.decode(line)
