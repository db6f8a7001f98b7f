import type { PrismaClient } from "../../../generated/client.ts";

/** Takes the key from a turn whose window is over but that the sweep has not taken yet. */
export async function freeDedupeKey(
  prisma: PrismaClient,
  agent: string,
  key: { tenant: string; caller: string; dedupeKey: string },
): Promise<number> {
  return prisma.$executeRaw`
    update turn set dedupe_key = null
    where agent = ${agent} and tenant = ${key.tenant} and caller = ${key.caller} and dedupe_key = ${key.dedupeKey}
      and expires_at <= now()`;
}
