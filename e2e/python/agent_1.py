"""A plain agent on a2a-sdk 1.x: A2A 1.0, JSON-RPC at `/`, tasks in memory. `--compat` adds the SDK's own 0.3 layer."""

from a2a.helpers import new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Message, TaskState
from starlette.applications import Starlette

from agent_process import Options, log_cancel, log_start, serve
from behaviours import Execution, behave


class UpdaterEmitter:
    def __init__(self, updater: TaskUpdater, queue: EventQueue, context: RequestContext) -> None:
        self._updater = updater
        self._queue = queue
        self._context = context

    async def begin(self) -> None:
        message = self._context.message
        if message and not self._context.current_task:
            await self._queue.enqueue_event(new_task_from_user_message(message))

    async def status(self, state: str, text: str | None = None) -> None:
        value = TaskState.Value(f"TASK_STATE_{state.upper().replace('-', '_')}")
        await self._updater.update_status(value, self._said(text))

    async def artifact(self, id: str | None, text: str, append: bool = False, last: bool = True) -> None:
        parts = [new_text_part(text)]
        await self._updater.add_artifact(parts, artifact_id=id, name=id, append=append, last_chunk=last)

    async def message(self, text: str) -> None:
        await self._queue.enqueue_event(new_text_message(text, context_id=self._updater.context_id))

    def _said(self, text: str | None) -> Message | None:
        return None if text is None else self._updater.new_agent_message([new_text_part(text)])


class FixtureExecutor(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message, task_id, context_id = context.message, context.task_id, context.context_id
        assert message and task_id and context_id
        text = context.get_user_input()
        log_start(message.message_id, task_id, context_id, text)
        emitter = UpdaterEmitter(TaskUpdater(event_queue, task_id, context_id), event_queue, context)
        await behave(Execution(text, task_id, emitter))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id and context.context_id
        log_cancel(context.task_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def main() -> None:
    options = Options(["compat"])
    versions = ["1.0", "0.3"] if "compat" in options.flags else ["1.0"]
    card = AgentCard(
        name="Counting agent (Python, A2A 1.0)",
        description="A fixture on the published Python SDK.",
        version="1.0.0",
        supported_interfaces=[
            AgentInterface(url=f"{options.base_url}/", protocol_binding="JSONRPC", protocol_version=version)
            for version in versions
        ],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        # Warned about where there is none.
        skills=[AgentSkill(id="count", name="count", description="Counts.", tags=["fixture"])],
    )
    handler = DefaultRequestHandler(agent_executor=FixtureExecutor(), task_store=InMemoryTaskStore(), agent_card=card)
    routes = [
        *create_agent_card_routes(card),
        *create_jsonrpc_routes(handler, "/", enable_v0_3_compat="compat" in options.flags),
    ]
    serve("py-1", Starlette(routes=routes), options)


if __name__ == "__main__":
    main()
