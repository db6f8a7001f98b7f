"""A plain agent on a2a-sdk 0.3: JSON-RPC at `/`, tasks in memory. Its streams begin with a status, without a Task."""

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, Message, Part, TaskState, TextPart
from a2a.utils import new_agent_text_message

from agent_process import Options, log_cancel, log_start, serve
from behaviours import Execution, behave


class UpdaterEmitter:
    def __init__(self, updater: TaskUpdater, queue: EventQueue, continues: bool) -> None:
        self._updater = updater
        self._queue = queue
        self._continues = continues

    async def begin(self) -> None:
        if not self._continues:
            await self._updater.submit()

    async def status(self, state: str, text: str | None = None) -> None:
        rests = state == "input-required"
        await self._updater.update_status(TaskState(state), self._said(text), final=rests)

    async def artifact(self, id: str | None, text: str, append: bool = False, last: bool = True) -> None:
        await self._updater.add_artifact(_parts(text), artifact_id=id, name=id, append=append, last_chunk=last)

    async def message(self, text: str) -> None:
        await self._queue.enqueue_event(new_agent_text_message(text, context_id=self._updater.context_id))

    def _said(self, text: str | None) -> Message | None:
        return None if text is None else self._updater.new_agent_message(_parts(text))


class FixtureExecutor(AgentExecutor):
    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message, task_id, context_id = context.message, context.task_id, context.context_id
        assert message and task_id and context_id
        text = context.get_user_input()
        log_start(message.message_id, task_id, context_id, text)
        updater = TaskUpdater(event_queue, task_id, context_id)
        emitter = UpdaterEmitter(updater, event_queue, continues=context.current_task is not None)
        await behave(Execution(text, task_id, emitter))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id and context.context_id
        log_cancel(context.task_id)
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


def _parts(text: str) -> list[Part]:
    return [Part(root=TextPart(text=text))]


def main() -> None:
    options = Options([])
    card = AgentCard(
        name="Counting agent (Python, A2A 0.3)",
        description="A fixture on the published Python SDK.",
        version="1.0.0",
        url=f"{options.base_url}/",
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[],
    )
    handler = DefaultRequestHandler(agent_executor=FixtureExecutor(), task_store=InMemoryTaskStore())
    serve("py-03", A2AStarletteApplication(agent_card=card, http_handler=handler).build(), options)


if __name__ == "__main__":
    main()
