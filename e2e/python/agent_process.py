"""What both agents share as processes: port, ready line and logs, as e2e/README.md tells of the fixture agents."""

import argparse
import json
import os
import socket
import time

import uvicorn
from starlette.applications import Starlette


class Options:
    """Where an agent listens and what it says about itself; `PORT`, `HOST` and `PUBLIC_URL` are the fallbacks."""

    def __init__(self, own_flags: list[str]) -> None:
        parser = argparse.ArgumentParser()
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 0))
        parser.add_argument("--public-url", default=os.environ.get("PUBLIC_URL") or None)
        for flag in own_flags:
            parser.add_argument(f"--{flag}", action="store_true")
        given = vars(parser.parse_args())
        self.flags = {flag for flag in own_flags if given[flag.replace("-", "_")]}
        # Bound before the card is made: the card names the port.
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((os.environ.get("HOST") or "127.0.0.1", given["port"]))
        self.port: int = self.socket.getsockname()[1]
        self.base_url: str = (given["public_url"] or f"http://localhost:{self.port}").rstrip("/")


def serve(agent: str, app: Starlette, options: Options) -> None:
    """Answers until SIGTERM; prints the ready line once it does."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready = {"ready": True, "agent": agent, "port": options.port, "pid": os.getpid()}
            print(json.dumps(ready, separators=(",", ":")), flush=True)

    # Open streams do not keep a stopped agent alive.
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    Server(config).run(sockets=[options.socket])


def log_start(message_id: str, task_id: str, context_id: str, text: str) -> None:
    """One line of `START_LOG`, on disk before the first event of the execution leaves the process."""
    _append("START_LOG", {"messageId": message_id, "taskId": task_id, "contextId": context_id, "text": text})


def log_cancel(task_id: str) -> None:
    """One line of `CANCEL_LOG` per cancel that reached the executor."""
    _append("CANCEL_LOG", {"taskId": task_id})


def _append(variable: str, record: dict[str, str]) -> None:
    file = os.environ.get(variable)
    if not file:
        return
    line = json.dumps({**record, "at": int(time.time() * 1000), "pid": os.getpid()})
    with open(file, "a", encoding="utf-8") as log:
        log.write(line + "\n")
