/**
 * A nats-server as seen through a bad network: messages on their way to a subscriber are dropped, repeated or late, by
 * seeded choice. Everything else of the protocol (INFO, PING, +OK, -ERR, and all that clients send) goes through, so that
 * the client library never learns that anything is wrong.
 */
import type { Dice } from "./random-walk-dice.ts";
import type { Tap, TcpProxy } from "./tcp-proxy.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

/** Shares of all messages, in percent; what is left goes through as it comes. */
export interface NatsFaults {
  drop: number;
  repeat: number;
  delay: number;
  /** A delayed message, and the second copy of a repeated one, comes up to so much later: also after younger ones. */
  maxDelayMs: number;
}

export const NO_FAULTS: NatsFaults = { drop: 0, repeat: 0, delay: 0, maxDelayMs: 0 };

export interface NatsFaultProxy extends TcpProxy {
  /** `nats://127.0.0.1:<port>` */
  readonly url: string;
  /** What has become of the messages so far. */
  readonly counts: Readonly<Record<"passed" | "dropped" | "repeated" | "delayed", number>>;
  /** From the next message on. */
  setFaults(faults: NatsFaults, dice: Dice): void;
}

export async function startNatsFaultProxy(natsUrl: string): Promise<NatsFaultProxy> {
  const counts = { passed: 0, dropped: 0, repeated: 0, delayed: 0 };
  const chosen: { faults: NatsFaults; dice: Dice | null } = { faults: NO_FAULTS, dice: null };
  const tap = (): Tap => {
    const frames = new NatsFrames();
    return (bytes, send) => {
      for (const frame of frames.add(bytes)) {
        const { faults, dice } = chosen;
        if (!frame.isMessage || dice === null) {
          send(frame.bytes);
          continue;
        }
        const lot = dice.below(100);
        const later = () => setTimeout(send, dice.below(faults.maxDelayMs), frame.bytes).unref();
        if (lot < faults.drop) {
          counts.dropped += 1;
        } else if (lot < faults.drop + faults.repeat) {
          counts.repeated += 1;
          send(frame.bytes);
          later();
        } else if (lot < faults.drop + faults.repeat + faults.delay) {
          counts.delayed += 1;
          later();
        } else {
          counts.passed += 1;
          send(frame.bytes);
        }
      }
    };
  };
  const proxy = await startTcpProxy({ targetPort: Number(new URL(natsUrl).port), tap });
  return Object.assign(proxy, {
    url: `nats://127.0.0.1:${proxy.port}`,
    counts,
    setFaults: (faults: NatsFaults, dice: Dice) => {
      chosen.faults = faults;
      chosen.dice = dice;
    },
  });
}

interface Frame {
  bytes: Buffer;
  isMessage: boolean;
}

/** Cuts a server's stream into protocol lines and messages (`MSG` and `HMSG` with their payload). */
class NatsFrames {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are complete. */
  add(bytes: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    for (;;) {
      const frame = this.#next();
      if (frame === null) return frames;
      frames.push(frame);
    }
  }

  #next(): Frame | null {
    const lineEnd = this.#rest.indexOf("\r\n");
    if (lineEnd < 0) return null;
    const words = this.#rest.toString("latin1", 0, lineEnd).split(/\s+/);
    const isMessage = words[0] === "MSG" || words[0] === "HMSG";
    // The last word of the line is the payload's length; the payload ends with a line end of its own.
    const length = lineEnd + 2 + (isMessage ? Number(words.at(-1)) + 2 : 0);
    if (this.#rest.length < length) return null;
    const frame = { bytes: this.#rest.subarray(0, length), isMessage };
    this.#rest = this.#rest.subarray(length);
    return frame;
  }
}
