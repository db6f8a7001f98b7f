/** The published Python clients as judges of what a sidecar says: they read, they fold, and tell what Task they end with. */
import { spawnProcess } from "../../../sidecar/test/support/processes.ts";
import type { PythonSdk } from "../../python/peers.ts";
import { HOW_TO_BUILD, pythonCommand, pythonPeersBuilt } from "../../python/peers.ts";
import type { Json } from "./rpc-client.ts";
import { content } from "./rpc-client.ts";

/** What a judge is to do; `follow`, `get` and `cancel` need a task, the others a text. */
export interface JudgeStart {
  do: "stream" | "follow" | "send" | "get" | "cancel";
  /** Where it calls, in this order, round and round. */
  urls: readonly string[];
  text?: string;
  taskId?: string;
  messageId?: string;
}

export interface JudgeEvent {
  kind: "task" | "status" | "artifact" | "message";
  taskId: string | null;
  state: string | null;
}

export interface Judgement {
  /** The Task or Message it ended with. */
  end: Json;
  /** `stream`: folded from events by the SDK. `call`: an answer. */
  by: "stream" | "call";
  /** What each connection brought, in the order of the connections. */
  connections: JudgeEvent[][];
  /** Why each connection but the last one was not enough. */
  broken: string[];
}

export interface Judge {
  /** Resolves once it has seen that many events. */
  seen(count: number): Promise<void>;
  /** Rejects where the SDK's client could not make a Task of what it was sent. */
  readonly judgement: Promise<Judgement>;
}

/** Whether a Python scenario can be played; says on stdout what gets it where not. */
export function pythonPeersOrSkip(what: string): boolean {
  const built = pythonPeersBuilt();
  if (!built) console.log(`SKIP ${what}: ${HOW_TO_BUILD}`);
  return built;
}

export function startJudge(sdk: PythonSdk, start: JudgeStart): Judge {
  const [command, program] = pythonCommand(sdk, `client_${sdk}.py`);
  const args = [...program, start.do, ...start.urls];
  if (start.text !== undefined) args.push("--text", start.text);
  if (start.taskId !== undefined) args.push("--task", start.taskId);
  if (start.messageId !== undefined) args.push("--message", start.messageId);
  const child = spawnProcess(command, args, { name: `Python client ${sdk}` });
  const finish = async (): Promise<Judgement> => {
    const { code } = await child.exited;
    if (code !== 0) throw new Error(`${child.name}, ${start.do}: ${(child.stdout + child.stderr).slice(-4000)}`);
    return judgementOf(child.stdout);
  };
  const judgement = finish();
  // Its test may be over before it.
  judgement.catch(() => undefined);
  return {
    seen: async (count) => {
      await child.waitForLine(new RegExp(`"n":${count},`), 30_000);
    },
    judgement,
  };
}

export function judge(sdk: PythonSdk, start: JudgeStart): Promise<Judgement> {
  return startJudge(sdk, start).judgement;
}

/** The text of each artifact of a Task, by its id, as it is: a blank one too. */
export function artifactTexts(task: Json): Record<string, string> {
  const artifacts: Json[] = content(task)?.artifacts ?? [];
  return Object.fromEntries(
    artifacts.map(({ artifactId, parts }) => [artifactId, (parts ?? []).map((part: Json) => part.text ?? "").join("")]),
  );
}

function judgementOf(stdout: string): Judgement {
  const connections: JudgeEvent[][] = [[]];
  const broken: string[] = [];
  for (const line of stdout.split("\n").filter(Boolean)) {
    const said = JSON.parse(line);
    if (said.event !== undefined) {
      connections.at(-1)?.push({ kind: said.event, taskId: said.taskId, state: said.state });
    } else if (said.broken !== undefined) {
      broken.push(said.broken);
      connections.push([]);
    } else return { end: said.end, by: said.by, connections, broken };
  }
  throw new Error(`a judge without an end: ${stdout.slice(-2000)}`);
}
