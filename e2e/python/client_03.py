"""The client of a2a-sdk 0.3. Its ClientTaskManager folds the events; this program only passes on what it is given."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.client import Client
from a2a.client.errors import A2AClientHTTPError, A2AClientJSONRPCError, A2AClientTimeoutError
from a2a.types import Message, Part, Role, Task, TaskIdParams, TaskQueryParams, TextPart

from client_process import BrokenError, Json, RefusedError, Said, Seen, run

READ_TIMEOUT_S = 30


class Client03:
    def __init__(self, streaming: Client, unary: Client) -> None:
        self._streaming = streaming
        self._unary = unary

    async def stream(self, said: Said) -> AsyncIterator[Seen]:
        with _sdk_errors():
            async for event in self._streaming.send_message(_message(said)):
                yield _seen(event)

    async def resubscribe(self, task_id: str) -> AsyncIterator[Seen]:
        with _sdk_errors():
            async for event in self._streaming.resubscribe(TaskIdParams(id=task_id)):
                yield _seen(event)

    async def send(self, said: Said) -> Json:
        with _sdk_errors():
            return [_seen(event).result async for event in self._unary.send_message(_message(said))][-1]

    async def get(self, task_id: str) -> Json:
        with _sdk_errors():
            return _json(await self._unary.get_task(TaskQueryParams(id=task_id)))

    async def cancel(self, task_id: str) -> Json:
        with _sdk_errors():
            return _json(await self._unary.cancel_task(TaskIdParams(id=task_id)))


async def connect(url: str) -> Client03:
    http = httpx.AsyncClient(timeout=READ_TIMEOUT_S)
    with _sdk_errors():
        streaming = await ClientFactory.connect(url, ClientConfig(httpx_client=http))
        unary = await ClientFactory.connect(url, ClientConfig(httpx_client=http, streaming=False))
    return Client03(streaming, unary)


@contextmanager
def _sdk_errors() -> Iterator[None]:
    try:
        yield
    except A2AClientJSONRPCError as error:
        raise RefusedError(str(error)) from error
    except (A2AClientHTTPError, A2AClientTimeoutError, httpx.TransportError) as error:
        raise BrokenError(str(error)) from error


def _message(said: Said) -> Message:
    return Message(
        role=Role.user,
        message_id=said.message_id,
        task_id=said.task_id,
        context_id=said.context_id,
        parts=[Part(root=TextPart(text=said.text))],
    )


def _seen(event: object) -> Seen:
    if isinstance(event, Message):
        return Seen("message", _json(event))
    assert isinstance(event, tuple)
    task, update = event
    return Seen("task" if update is None else update.kind.removesuffix("-update"), _json(task))


def _json(result: Task | Message) -> Json:
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


if __name__ == "__main__":
    run(connect)
