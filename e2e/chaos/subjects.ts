/** What is played with: the agents, and how much begins within one run. */
import { JS_03, JS_1, RAW_1, type Subject } from "../scenarios/support/subject.ts";

export const SUBJECTS: readonly Subject[] = [JS_1, JS_03, RAW_1];

export const RUN_SIZE = { conversations: 24, faults: 6, spanMs: 5_000 };
