export interface SseEvent { name: string; data: string }
export class SseDecoder {
  push(bytes: Uint8Array): SseEvent[] { throw new Error("unbuilt"); }
  end(): SseEvent[] { throw new Error("unbuilt"); }
}
export function encodeSse(event: { id?: string; event?: string; data: string }): string { throw new Error("unbuilt"); }
export const keepAliveComment = ": keep-alive\n\n";
