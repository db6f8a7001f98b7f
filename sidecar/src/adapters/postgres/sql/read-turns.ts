import { Prisma, type PrismaClient } from "../../../generated/client.ts";
import { type TurnRecord, turnColumns } from "./turn-columns.ts";

/** The turns of these ids that exist, in any order. */
export async function readTurns(prisma: PrismaClient, agent: string, ids: string[]): Promise<TurnRecord[]> {
  return selectTurns(prisma, agent, Prisma.sql`u.id = any(${ids}::text[])`);
}

/** Which of these turns exist. */
export async function findTurns(prisma: PrismaClient, agent: string, ids: string[]): Promise<string[]> {
  const rows: { id: string }[] = await prisma.$queryRaw`
    select id from turn where agent = ${agent} and id = any(${ids}::text[])`;
  return rows.map(({ id }) => id);
}

/** The turn that holds a dedupe key, and whether its window is over. */
export async function readTurnByKey(
  prisma: PrismaClient,
  agent: string,
  key: { tenant: string; caller: string; dedupeKey: string },
): Promise<TurnRecord[]> {
  const { tenant, caller, dedupeKey } = key;
  return selectTurns(
    prisma,
    agent,
    Prisma.sql`u.tenant = ${tenant} and u.caller = ${caller} and u.dedupe_key = ${dedupeKey}
      and (u.expires_at is null or u.expires_at > now())`,
  );
}

async function selectTurns(prisma: PrismaClient, agent: string, condition: Prisma.Sql): Promise<TurnRecord[]> {
  return prisma.$queryRaw`
    select ${turnColumns}
    from turn u
    left join task t on t.agent = u.agent and t.id = u.task_id
    left join instance i on i.agent = u.agent and i.id = coalesce(t.owner, u.instance)
    where u.agent = ${agent} and ${condition}`;
}
