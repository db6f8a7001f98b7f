"""
What both clients share as programs. Each does one thing to a task, with nothing but what its SDK offers, and says in
JSON lines what it got:

    {"n": 3, "event": "artifact", "taskId": …, "state": "working"}   for every event of a stream
    {"broken": …}                                                    for every connection that was not enough
    {"end": <Task or Message>, "by": "stream" | "call"}              at the end; the Task as the SDK folded it

Where a connection breaks it goes on at the next URL: it subscribes once it knows the task, and sends the same message
again before. What the SDK raises for any other reason ends the program.
"""

import argparse
import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

PATIENCE_S = 60
RETRY_PAUSE_S = 0.05
AT_REST = {"completed", "failed", "canceled", "rejected", "input-required"}

Json = dict[str, Any]


class BrokenError(Exception):
    """Nobody answered, or not to the end."""


class RefusedError(Exception):
    """The server answered with an error of the protocol."""


@dataclass
class Said:
    text: str
    message_id: str
    task_id: str | None
    context_id: str | None


@dataclass
class Seen:
    """One event of a stream and the Task (or Message) that the SDK makes of all events so far."""

    kind: str
    result: Json


class Client(Protocol):
    """One version of the SDK, at one URL."""

    def stream(self, said: Said) -> AsyncIterator[Seen]: ...

    def resubscribe(self, task_id: str) -> AsyncIterator[Seen]: ...

    async def send(self, said: Said) -> Json: ...

    async def get(self, task_id: str) -> Json: ...

    async def cancel(self, task_id: str) -> Json: ...


class Connect(Protocol):
    async def __call__(self, url: str) -> Client: ...


def run(connect: Connect) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("do", choices=["stream", "follow", "send", "get", "cancel"])
    parser.add_argument("urls", nargs="+", metavar="URL")
    parser.add_argument("--text", default="")
    parser.add_argument("--message", default=str(uuid.uuid4()))
    parser.add_argument("--task")
    parser.add_argument("--context")
    given = parser.parse_args()
    said = Said(given.text, given.message, given.task, given.context)
    session = Session(connect, given.urls)
    doing = session.read(given.do, said) if given.do in ("stream", "follow") else session.call(given.do, said)
    asyncio.run(asyncio.wait_for(doing, PATIENCE_S))


class Session:
    def __init__(self, connect: Connect, urls: list[str]) -> None:
        self._connect = connect
        self._urls = urls
        self._tries = 0
        self._events = 0

    async def call(self, do: str, said: Said) -> None:
        _say({"end": await self._answer(do, said), "by": "call"})

    async def read(self, do: str, said: Said) -> None:
        task_id = said.task_id if do == "follow" else None
        while True:
            result: Json = {}
            try:
                client = await self._next()
                events = client.stream(said) if task_id is None else client.resubscribe(task_id)
                async for seen in events:
                    result = seen.result
                    task_id = self._told(seen)
                if is_end(result):
                    return _say({"end": result, "by": "stream"})
                _say({"broken": "the stream ended"})
            except BrokenError as error:
                _say({"broken": str(error)})
            except RefusedError as error:
                # The usual reason is a task that ended meanwhile: then there is nothing to subscribe to.
                if task_id is None:
                    raise
                _say({"broken": str(error)})
                result = await self._answer("get", Said("", "", task_id, None))
                if is_end(result):
                    return _say({"end": result, "by": "call"})
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _answer(self, do: str, said: Said) -> Json:
        while True:
            try:
                client = await self._next()
                if do == "send":
                    return await client.send(said)
                assert said.task_id
                return await (client.get(said.task_id) if do == "get" else client.cancel(said.task_id))
            except BrokenError as error:
                _say({"broken": str(error)})
                await asyncio.sleep(RETRY_PAUSE_S)

    async def _next(self) -> Client:
        url = self._urls[self._tries % len(self._urls)]
        self._tries += 1
        return await self._connect(url)

    def _told(self, seen: Seen) -> str | None:
        self._events += 1
        task_id = seen.result.get("id")
        _say({"n": self._events, "event": seen.kind, "taskId": task_id, "state": state_of(seen.result)})
        return task_id


def state_of(result: Json) -> str | None:
    """In the spelling of 0.3; None for a Message."""
    state = result.get("status", {}).get("state")
    return state and state.removeprefix("TASK_STATE_").lower().replace("_", "-")


def is_end(result: Json) -> bool:
    return "messageId" in result or state_of(result) in AT_REST


def _say(line: Json) -> None:
    print(json.dumps(line, separators=(",", ":")), flush=True)
