/** Puts one sidecar together, from the inside out: record, relay, agent, flows, servers. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { readFileSync } from "node:fs";
import { openAgentPool } from "./adapters/agent/agent-pool.ts";
import { openHttpAgent } from "./adapters/agent/http-agent.ts";
import { systemClock } from "./adapters/clock/system-clock.ts";
import { keepCrowdApart } from "./adapters/postgres/crowd.ts";
import { MemoryRelay, MemoryRelayHub } from "./adapters/memory/relay.ts";
import { openNatsRelay } from "./adapters/nats/nats-relay.ts";
import { AesSeal } from "./adapters/seal/aes-seal.ts";
import type { Config } from "./config.ts";
import { AgentPresence } from "./flows/agent-presence.ts";
import { AgentProfile } from "./flows/agent-profile.ts";
import { answerCalls } from "./flows/answer-calls.ts";
import { Drain } from "./flows/drain.ts";
import type { FlowContext } from "./flows/flow-context.ts";
import { gateOwnerWrites } from "./flows/gated-store.ts";
import { GroupCommit } from "./flows/group-commit.ts";
import { InstanceHolder } from "./flows/hold-instance.ts";
import type { Logger } from "./flows/logger.ts";
import { RecorderRegistry } from "./flows/recorder-registry.ts";
import { startSafetyPoll } from "./flows/safety-poll.ts";
import { WorkTaker } from "./flows/take-work.ts";
import { sweepRecord } from "./flows/sweep-record.ts";
import { TaskFeeds } from "./flows/task-feeds.ts";
import { TurnBoard } from "./flows/turn-board.ts";
import { UnboundRuns } from "./flows/unbound-runs.ts";
import { UnflushedTurns } from "./flows/unflushed-turns.ts";
import { OpenCalls } from "./flows/open-calls.ts";
import { PeerWatcher } from "./flows/watch-peers.ts";
import { openRecord } from "./open-record.ts";
import type { Clock } from "./ports/clock.ts";
import type { Relay } from "./ports/relay.ts";
import { requestOrigin } from "./protocol/request-origin.ts";
import { buildApp } from "./server/app.ts";
import { createCardRoute } from "./server/card-route.ts";
import { createMetrics } from "./server/metrics.ts";
import { createPassThrough } from "./server/pass-through.ts";
import { buildAdmin } from "./server/probes.ts";

export interface RunningSidecar {
  /** Rejects when the sidecar cannot go on: a schema it does not know. */
  failed: Promise<never>;
  /** Unready, finish or hand over what runs; resolves when nothing is left to do. */
  drain(): Promise<void>;
  /** Ends everything that is left; drain first. */
  stop(): Promise<void>;
}

export async function startSidecar(config: Config, log: Logger): Promise<RunningSidecar> {
  const clock = systemClock;
  const unflushed = new UnflushedTurns({ clock, log });
  const record = await openRecord(config, { log, clock, onIdleError: () => unflushed.suspectCrash() });
  // A restarted process is another instance: what its predecessor held is claimed, not found again as its own.
  const instanceId = [config.identity.instanceId, randomUUID()].filter((part) => part !== null).join(".");
  const podUid = config.identity.podUid ?? record.podUid ?? instanceId;
  const identity = { id: instanceId, podName: config.identity.podName ?? hostname(), podUid };
  const instance = new InstanceHolder({ store: record.store, clock, log }, identity, config.leaseMs);
  // The lease is asked when a statement is sent, not when it begins to wait (I7).
  const gated = gateOwnerWrites(unflushed.guard(record.store), () => instance.mayAct());
  const store = keepCrowdApart(gated, config.database.poolSize);
  const relay = openRelay(config, log);
  const feeds = new TaskFeeds(relay, { clock, log });
  const metrics = createMetrics({
    monotonicMs: () => clock.monotonicMs(),
    subscribers: () => feeds.size,
    relayConnected: () => relay.connected,
    countTasks: () => store.countTasks(),
  });
  const pool = openAgentPool(config.agent.url.href);
  const agent = openHttpAgent({ pool, agentUrl: config.agent.url.href });
  const profile = new AgentProfile(agent, clock);
  const commits = new GroupCommit(store, clock, {
    onCommit: (seconds, writes) => metrics.commit(seconds, writes),
    onFailure: (error) => log.warn({ err: error }, "events not committed yet, trying again"),
  });
  const board = new TurnBoard({ store, relay, clock, log });
  const taker = new WorkTaker();
  const calls = new OpenCalls();
  const presence = new AgentPresence();
  const drain = new Drain({
    graceMs: config.drain.graceMs,
    busy: () => taker.busy + calls.count,
    setDraining: (draining) => instance.setDraining(draining),
  });
  const context: FlowContext = {
    settings: {
      instanceId,
      leaseMs: config.leaseMs,
      affinity: config.affinity,
      recoveryPolicy: config.recovery.policy,
      maxAttempts: config.recovery.maxAttempts,
      idempotencyWindowSeconds: config.idempotencyWindowSeconds,
      maxEventChars: MAX_EVENT_CHARS,
    },
    podUid,
    store,
    recovery: store,
    commits,
    relay,
    feeds,
    board,
    recorders: new RecorderRegistry(),
    unbound: new UnboundRuns(),
    agent,
    profile,
    presence,
    lifetime: drain,
    clock,
    random: Math.random,
    seal: new AesSeal(record.secretKeys),
    log,
    metrics,
    newId: randomUUID,
    heardOf: (other) => peers.heardOf(other),
    startTurn: (turnId) => taker.startTurn(turnId),
    runDispatched: (turn, journaled) => taker.runDispatched(turn, journaled),
    startCancel: (taskId) => taker.startCancel(taskId),
    recoverTask: (claimed) => taker.recoverTask(claimed),
  };
  const peers = new PeerWatcher(context, {
    mayClaim: () => instance.mayAct() && !drain.draining && presence.listening && profile.answered,
    onClaimed: (work) => taker.recover(work),
    onOrphansFailed: (turnIds) => {
      for (const turnId of turnIds) relay.publishTurn({ turnId });
    },
  });
  const stopped = new AbortController();
  const agentAnswers = probeAgent(profile, clock, stopped.signal);
  let schemaCompatible = false;
  const failed = record.compatible.then(() => {
    schemaCompatible = true;
    // Others give messages to whoever is in the record: to one whose agent is only being started they would have to wait.
    void agentAnswers.then(() => profile.answered && instance.start());
    taker.start(context);
    peers.start();
    void sweepRecord(
      context,
      { retentionSeconds: config.retentionSeconds, onSwept: (kind, count) => metrics.swept(kind, count) },
      stopped.signal,
    );
    return new Promise<never>(() => {});
  });
  const poll = startSafetyPoll({ feeds, relay, store, clock, log });
  const { agentUrl, publicUrl } = { agentUrl: config.agent.url.href, publicUrl: config.listen.publicUrl?.href ?? null };
  const passThrough = createPassThrough({ pool, agentUrl, log });
  const app = buildApp({
    handleJsonRpc: calls.counting(answerCalls(context, { agentUrl, publicUrl, originOf: requestOrigin })),
    passThrough,
    serveCard: createCardRoute({
      agent,
      passThrough,
      agentUrl,
      publicUrl,
      log,
      onGrpcInterfaces: (count) => metrics.grpcInterfaces(count),
      onSignaturesDropped: () => metrics.cardSignaturesDropped(),
    }),
    maxBodyBytes: config.listen.maxBodyBytes,
    log,
    draining: () => drain.draining,
  });
  const readiness = () => ({
    schemaCompatible,
    agentAnswered: profile.answered,
    // Before the first lease it would take nothing: calls would be refused.
    registered: instance.registered,
    draining: drain.draining,
  });
  const admin = buildAdmin({
    readiness,
    metrics,
    log,
    drainToken: config.drain.token,
    drain: () => drain.begin(context),
    preStop: () => {
      const drained = drain.begin(context);
      void drain.undoWhenAgentReturns(context, stopped.signal);
      return drained;
    },
  });
  await admin.listen({ host: config.listen.host, port: config.listen.adminPort });
  await app.listen({ host: config.listen.host, port: config.listen.port });
  log.info({ instanceId, port: config.listen.port, adminPort: config.listen.adminPort }, "sidecar is listening");
  return {
    failed,
    drain: () => {
      stopped.abort();
      return drain.begin(context);
    },
    stop: async () => {
      stopped.abort();
      // What came after the drain, from a balancer that has not heard of it yet, is on its way to an answer from elsewhere.
      const quietMs = config.drain.graceMs > 0 ? LISTEN_QUIET_MS : 0;
      await calls.untilQuiet(clock, { quietMs, patienceMs: ANSWER_PATIENCE_MS });
      const closed = app.close();
      await calls.untilQuiet(clock, { quietMs: 0, patienceMs: LAST_PATIENCE_MS });
      taker.stop();
      if (calls.count > 0) log.warn({ calls: calls.count }, "calls are told to come again: the process ends");
      drain.exit();
      await peers.stop();
      poll.stop();
      feeds.close();
      await Promise.all([closed, admin.close()]);
      // Without its row this instance is dead to the others: what it still holds then counts an attempt (P8).
      await drain.handOver(context);
      await instance.stop();
      // Last, since a look of its may stand in a queue for longer than the process has.
      await board.stop();
      await commits.stop();
      await relay.close();
      await agent.close();
      await record.close();
    },
  };
}

/** Largest event that is recorded, in characters of JSON text. */
const MAX_EVENT_CHARS = 16 * 1024 * 1024;
const AGENT_PROBE_MS = 500;
/**
 * How long calls are still taken and answered after the drain, where some wait; then no connection is accepted any more. A
 * call that came at the end of the 3 s in which balancers still send, and runs elsewhere, gets its answer as one does that
 * came at their beginning. With `STOP_MS` below the 10 s that the pod has left after the grace.
 */
const ANSWER_PATIENCE_MS = 6_000;
/** A balancer on a busy node sends for longer than the drain listens: the port closes when nothing has come for this long. */
const LISTEN_QUIET_MS = 500;
const LAST_PATIENCE_MS = 500;

function openRelay(config: Config, log: Logger): Relay {
  const { nats } = config;
  if (nats) {
    const { url } = nats;
    return openNatsRelay({
      url: () => (url.file === null ? url.value : readFileSync(url.file, "utf8").trim()),
      ...(nats.credsFile === null ? {} : { credsFile: nats.credsFile }),
      ...(nats.caFile === null ? {} : { caFile: nats.caFile }),
      name: "durable-agent-sidecar",
      agentKey: config.agent.key,
      log,
    });
  }
  const shared = config.database.kind === "shared";
  if (shared) log.warn({}, "DATABASE_URL without NATS_URL: other instances are told nothing, they poll; set NATS_URL");
  return new MemoryRelay(new MemoryRelayHub(), { reachesAll: !shared, log });
}

/** Asks for the card until the agent has answered once; readiness and registration wait for it. */
async function probeAgent(profile: AgentProfile, clock: Clock, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await profile.probe();
    if (profile.answered) return;
    await clock.sleep(AGENT_PROBE_MS, stop);
  }
}
