"""What a screen asks of a session: one JSON object a line on its socket, answered by an event."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from firstlight.errors import FirstlightError

RUN_WORDS = ("pause", "resume", "stop")
SUB_WORDS = ("out", "back")
STACK_WORDS = (*SUB_WORDS, "rules", "restack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One wish.

    "pause", "resume" and "stop" are the run's. Of the stack's, "out" and "back" want ``subs`` (frame ids),
    "rules" the ``rules`` that change, by name (None: no such limit), "restack" nothing. ``token``, if any,
    comes back in the answer.
    """

    word: str
    subs: tuple[str, ...] = ()
    rules: dict[str, float | None] = field(default_factory=dict)
    token: str = ""

    def encode(self) -> bytes:
        """One line of JSON, with its newline."""
        data = {"command": self.word, "subs": self.subs, "rules": self.rules, "token": self.token}
        return json.dumps({name: value for name, value in data.items() if value}).encode() + b"\n"


def decode_ask(line: bytes) -> Ask:
    """Inverse of :meth:`Ask.encode`. Raises :class:`FirstlightError` for what is no wish of these."""
    try:
        data = json.loads(line)
        word, subs, rules, token = (
            data.get(name, default)
            for name, default in (("command", ""), ("subs", []), ("rules", {}), ("token", ""))
        )
        known = word in RUN_WORDS or word in STACK_WORDS
        texts = (
            isinstance(token, str) and isinstance(subs, list) and all(isinstance(each, str) for each in subs)
        )
        numbers = isinstance(rules, dict) and all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool))
            for value in rules.values()
        )
    except (ValueError, AttributeError) as error:
        raise FirstlightError(f"not a command: {line[:80]!r}") from error
    if not (known and texts and numbers) or (word in SUB_WORDS and not subs):
        raise FirstlightError(f"not a command: {line[:80]!r}")
    return Ask(word=word, subs=tuple(subs), rules=rules, token=token)
