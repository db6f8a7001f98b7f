/**
 * An error as it goes into a log line (I10): what kind it is and where it happened. The words of a cause are left out,
 * because a database puts values of the statement into its messages.
 */
export interface LoggedError {
  type: string;
  message: string;
  code: string | null;
  stack: string;
  cause: LoggedError | null;
}

const MAX_MESSAGE_CHARS = 300;
const MAX_CAUSES = 4;

/** Serialises an error for the log; `depth` counts the causes above it. */
export function loggedError(error: unknown, depth = 0): LoggedError {
  const given: NodeJS.ErrnoException = error instanceof Error ? error : new Error(typeof error);
  const { name, message, stack, cause, code } = given;
  const frames = (stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  return {
    type: name,
    message: depth === 0 ? message.slice(0, MAX_MESSAGE_CHARS) : "",
    code: typeof code === "string" ? code : null,
    stack: frames.join("\n"),
    cause: cause === undefined || depth >= MAX_CAUSES ? null : loggedError(cause, depth + 1),
  };
}
