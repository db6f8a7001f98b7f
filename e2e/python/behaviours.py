"""What a Python agent does, decided by the text of the user's message: a part of e2e/agents/behaviours.ts."""

import asyncio
import os
import re
from dataclasses import dataclass
from typing import Protocol


class Emitter(Protocol):
    """The event queue of one execution, without the SDK's version in it. States are spelled as in 0.3."""

    async def begin(self) -> None:
        """This version's opening: a Task in 1.x, a `submitted` status in 0.3; in a follow-up there is none."""

    async def status(self, state: str, text: str | None = None) -> None: ...

    async def artifact(self, id: str | None, text: str, append: bool = False, last: bool = True) -> None:
        """Without an id the SDK makes one up, another one in every run."""

    async def message(self, text: str) -> None: ...


@dataclass
class Execution:
    text: str
    task_id: str
    emit: Emitter


_open_questions: dict[str, int] = {}
"""How many answers a task still waits for; process memory on purpose, it is what another pod does not have."""


async def behave(execution: Execution) -> None:
    """Runs what the message asks for; unknown text is echoed. A cancel is the SDK's own: it cancels this coroutine."""
    word, *args = execution.text.split() or [""]
    emit = execution.emit
    if execution.task_id in _open_questions:
        return await _take_answer(execution)
    if word == "message":
        return await emit.message("just a message")
    if word == "silent":
        await asyncio.sleep(_number(args, 500) / 1000)
    await emit.begin()
    await emit.status("working")
    if word == "count":
        await _count(emit, args)
    elif word == "drafts":
        await _drafts(emit, args)
    elif word == "slow":
        await asyncio.sleep(_number(args, 500) / 1000)
        await _end_with(emit, "slow but sure")
    elif word == "ask":
        _open_questions[execution.task_id] = _number(args, 1)
        await emit.status("input-required", "Which colour?")
    elif word == "wait-cancel":
        await asyncio.sleep(600)
    elif word == "throw":
        raise RuntimeError("thrown in the middle of the work")
    elif word == "crash":
        await asyncio.sleep(_number(args, 50) / 1000)
        os._exit(70)
    elif word == "silent":
        await _end_with(emit, "out of the silence")
    elif word != "settle":
        await _end_with(emit, f"echo: {execution.text}")


async def _count(emit: Emitter, args: list[str]) -> None:
    """`count 10 every 20ms`: one artifact in that many appended chunks."""
    total = _number(args, 10)
    for n in range(1, total + 1):
        await asyncio.sleep(_pause_s(args))
        await emit.artifact("numbers", f"{n} ", append=n > 1, last=n == total)
    await emit.status("completed", f"counted to {total}")


async def _drafts(emit: Emitter, args: list[str]) -> None:
    """`drafts 3 every 20ms`: that many artifacts, each under an id that no other run gives it."""
    for n in range(1, _number(args, 3) + 1):
        await asyncio.sleep(_pause_s(args))
        await emit.artifact(None, f"draft {n}")
    await emit.status("completed")


async def _take_answer(execution: Execution) -> None:
    left = _open_questions.pop(execution.task_id) - 1
    emit = execution.emit
    await emit.status("working", f"got {execution.text}")
    if left > 0:
        _open_questions[execution.task_id] = left
        return await emit.status("input-required", f"Which colour next? {left} to go")
    await emit.artifact("answer", f"You said {execution.text}")
    await emit.status("completed")


async def _end_with(emit: Emitter, text: str) -> None:
    await emit.artifact("result", text)
    await emit.status("completed")


def _pause_s(args: list[str]) -> float:
    """The value of `every 20ms`."""
    return (_number(args[args.index("every") + 1 :], 20) if "every" in args else 20) / 1000


def _number(args: list[str], fallback: int) -> int:
    found = re.match(r"\d+", args[0]) if args else None
    return int(found.group()) if found else fallback
