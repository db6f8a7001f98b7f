/** Command line of `durable-agent-sidecar`: a few flags as a shorter spelling of the environment. */
import { parseArgs } from "node:util";
import { ENV } from "@durable-agent/crds/contract";

/** What the arguments ask for. */
export type Command =
  | { kind: "run"; env: Record<string, string> }
  | { kind: "print"; text: string }
  | { kind: "refused"; message: string };

const FLAGS = {
  agent: { env: ENV.agentUrl, value: "URL", text: "the agent to stand in front of (http://127.0.0.1:8080)" },
  port: { env: ENV.port, value: "N", text: "port for A2A traffic (15800)" },
  "admin-port": { env: ENV.adminPort, value: "N", text: "port for /livez, /readyz, /metrics (15801)" },
  "public-url": { env: ENV.publicUrl, value: "URL", text: "address the agent card shows (that of the request)" },
  "data-dir": { env: ENV.dataDir, value: "D", text: "files of the embedded Postgres (.durable-agent)" },
} as const;

/** Explains `argv` (without program and script); `version` is what `--version` prints. */
export function parseCommand(argv: string[], version: string): Command {
  const strings = Object.keys(FLAGS).map((name) => [name, { type: "string" }] as const);
  try {
    const { values } = parseArgs({
      args: argv,
      strict: true,
      options: {
        ...Object.fromEntries(strings),
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
    });
    if (values["help"] === true) return { kind: "print", text: help() };
    if (values["version"] === true) return { kind: "print", text: version };
    return { kind: "run", env: environmentOf(values) };
  } catch (error) {
    const [reason] = (error as Error).message.split(". ");
    return { kind: "refused", message: `${reason} (durable-agent-sidecar --help)` };
  }
}

function environmentOf(values: Record<string, unknown>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, flag] of Object.entries(FLAGS)) {
    const value = values[name];
    if (typeof value === "string") env[flag.env] = value;
  }
  return env;
}

function help(): string {
  const rows = Object.entries(FLAGS).map(([name, flag]): [string, string] => [`--${name} ${flag.value}`, flag.text]);
  rows.push(["--version, -v", "print the version"], ["--help, -h", "print this"]);
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const lines = rows.map(([flag, text]) => `  ${flag.padEnd(width)}  ${text}`);
  return `durable-agent-sidecar: makes one unmodified A2A agent multi-pod safe

  durable-agent-sidecar --agent http://localhost:9999

Clients then talk to http://localhost:15800 instead of the agent. Without DATABASE_URL a Postgres of its own is
started; without NATS_URL it is alone. Flags win over the environment, which has more settings (see the README).

${lines.join("\n")}`;
}
