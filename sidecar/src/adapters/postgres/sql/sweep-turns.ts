import type { PrismaClient } from "../../../generated/client.ts";

/** Whoever waits for a turn learns of its end from its row within this time, whatever the window is. */
const LEAST_AGE_SECONDS = 600;

/**
 * Deletes turns that ended longer ago than the idempotency window, oldest first (P12). The store keeps them for ten minutes
 * at least, or for the retention where that is shorter. Returns how many.
 */
export async function sweepTurns(
  prisma: PrismaClient,
  agent: string,
  { retentionSeconds, limit }: { retentionSeconds: number; limit: number },
): Promise<number> {
  return prisma.$executeRaw`
    with oldest as materialized (
      select u.id
      from turn u
      where u.agent = ${agent} and u.expires_at <= now()
        and u.ended_at <= now() - make_interval(secs => least(${LEAST_AGE_SECONDS}::integer, ${retentionSeconds}::integer))
      order by u.expires_at
      limit ${limit}
      for update skip locked
    )
    delete from turn u using oldest o where u.agent = ${agent} and u.id = o.id`;
}
