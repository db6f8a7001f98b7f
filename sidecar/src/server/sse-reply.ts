import type { ServerResponse } from "node:http";
import type { EventsAnswer } from "../flows/answer.ts";

export interface SseReplyOptions {
  /** Milliseconds of silence after which a comment is sent. Default 15 s. */
  keepAliveMs?: number;
}

/**
 * Writes events as the client takes them; resolves when the iterator ended or the client is gone, never rejects for the
 * latter. Rejects with the iterator's own error after closing the connection.
 */
export function writeSse(_response: ServerResponse, _answer: EventsAnswer, _options?: SseReplyOptions): Promise<void> {
  throw new Error("unbuilt");
}
