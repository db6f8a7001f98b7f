"""The client of a2a-sdk 1.x. It hands events out one by one; the SDK's TaskManager folds those of each stream."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
from a2a.client import ClientConfig, create_client
from a2a.client.client import Client
from a2a.client.errors import A2AClientError
from a2a.helpers import new_text_part
from a2a.server.context import ServerCallContext
from a2a.server.tasks import InMemoryTaskStore, TaskManager
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
)
from a2a.utils.constants import PROTOCOL_VERSION_CURRENT, VERSION_HEADER
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict

from client_process import BrokenError, Json, RefusedError, Said, Seen, run

READ_TIMEOUT_S = 30
KINDS = {"task": "task", "message": "message", "status_update": "status", "artifact_update": "artifact"}


class Client1:
    def __init__(self, streaming: Client, unary: Client) -> None:
        self._streaming = streaming
        self._unary = unary

    def stream(self, said: Said) -> AsyncIterator[Seen]:
        return _fold(self._streaming.send_message(_request(said)))

    def resubscribe(self, task_id: str) -> AsyncIterator[Seen]:
        return _fold(self._streaming.subscribe(SubscribeToTaskRequest(id=task_id)))

    async def send(self, said: Said) -> Json:
        return [seen.result async for seen in _fold(self._unary.send_message(_request(said)))][-1]

    async def get(self, task_id: str) -> Json:
        with _sdk_errors():
            return MessageToDict(await self._unary.get_task(GetTaskRequest(id=task_id)))

    async def cancel(self, task_id: str) -> Json:
        with _sdk_errors():
            return MessageToDict(await self._unary.cancel_task(CancelTaskRequest(id=task_id)))


async def connect(url: str) -> Client1:
    # As the SDK makes its own, but with a longer timeout.
    http = httpx.AsyncClient(timeout=READ_TIMEOUT_S, headers={VERSION_HEADER: PROTOCOL_VERSION_CURRENT})
    with _sdk_errors():
        streaming = await create_client(url, ClientConfig(httpx_client=http))
        unary = await create_client(url, ClientConfig(httpx_client=http, streaming=False))
    return Client1(streaming, unary)


async def _fold(stream: AsyncIterator[StreamResponse]) -> AsyncIterator[Seen]:
    """What the fold itself raises is no broken connection: it ends the program."""
    manager = TaskManager(InMemoryTaskStore(), ServerCallContext(), None, None, None)
    while True:
        with _sdk_errors():
            response = await anext(stream, None)
        if response is None:
            return
        name = response.WhichOneof("payload")
        event = getattr(response, name)
        await manager.process(event)
        result = event if name == "message" else await manager.get_task()
        yield Seen(KINDS[name], MessageToDict(result))


@contextmanager
def _sdk_errors() -> Iterator[None]:
    try:
        yield
    except A2AClientError as error:
        raise BrokenError(str(error)) from error
    except A2AError as error:
        raise RefusedError(f"{type(error).__name__}: {error}") from error
    except httpx.TransportError as error:
        raise BrokenError(str(error)) from error


def _request(said: Said) -> SendMessageRequest:
    message = Message(
        role=Role.ROLE_USER,
        message_id=said.message_id,
        task_id=said.task_id,
        context_id=said.context_id,
        parts=[new_text_part(said.text)],
    )
    return SendMessageRequest(message=message)


if __name__ == "__main__":
    run(connect)
