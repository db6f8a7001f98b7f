// DNS answers for A questions, RFC 1035 §4.1. Pure: question bytes and a lookup in, answer bytes out.

/** Addresses of a name; undefined when there is no such name. */
export type Lookup = (name: string) => readonly string[] | undefined;

const headerLength = 12;
const typeA = 1;
/** Seconds that an answer may be kept; short, because tests replace pods all the time. */
const timeToLive = 2;
/** Answer, recursion "available", authoritative. */
const answerFlags = 0x8580;
const nameError = 3;

interface Question {
  readonly name: string;
  readonly type: number;
  /** First byte after the question. */
  readonly end: number;
}

function readQuestion(message: Buffer): Question {
  const labels: string[] = [];
  let position = headerLength;
  for (;;) {
    const length = message.readUInt8(position);
    position += 1;
    if (length === 0) break;
    labels.push(message.toString("latin1", position, position + length));
    position += length;
  }
  return { name: labels.join(".").toLowerCase(), type: message.readUInt16BE(position), end: position + 4 };
}

function addressRecord(address: string): Buffer {
  const record = Buffer.alloc(16);
  // A pointer to the name in the question, then type, class, time to live, length.
  record.writeUInt16BE(0xc000 | headerLength, 0);
  record.writeUInt16BE(typeA, 2);
  record.writeUInt16BE(1, 4);
  record.writeUInt32BE(timeToLive, 6);
  record.writeUInt16BE(4, 10);
  record.set(address.split(".").map(Number), 12);
  return record;
}

/** The answer to `message`; throws a RangeError when that is no complete question. */
export function answerQuestion(message: Buffer, lookup: Lookup): Buffer {
  const question = readQuestion(message);
  const found = lookup(question.name);
  const records = question.type === typeA ? (found ?? []).map(addressRecord) : [];
  const header = Buffer.alloc(headerLength);
  message.copy(header, 0, 0, 2);
  header.writeUInt16BE(answerFlags | (found === undefined ? nameError : 0), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  return Buffer.concat([header, message.subarray(headerLength, question.end), ...records]);
}
