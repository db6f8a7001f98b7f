/** The least that recording can cost: bare `pg`, prepared statements, one row of a plain table. */
import { randomUUID } from "node:crypto";
import pg from "pg";

const BODY = JSON.stringify({ text: "x".repeat(400) });

const INSERT = "insert into bench_floor (id, body) values ($1, $2)";

/** The product's own way of not waiting for the disk without session state. */
const INSERT_RELAXED = `with relaxed as materialized (select set_config('synchronous_commit', 'off', true) as setting)
  insert into bench_floor (id, body) select $1, $2 from relaxed where setting is not null`;

export class FloorRows {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(databaseUrl: string): Promise<FloorRows> {
    const client = new pg.Client({ connectionString: databaseUrl });
    // A run that breaks off takes the server away under this connection; what broke it is what is told.
    client.on("error", () => {});
    await client.connect();
    await client.query("create table if not exists bench_floor (id uuid primary key, body text not null)");
    return new FloorRows(client);
  }

  /** Returns when the row is on the disk. */
  async insert(): Promise<void> {
    await this.#client.query({ name: "insert", text: INSERT, values: [randomUUID(), BODY] });
  }

  async insertRelaxed(): Promise<void> {
    await this.#client.query({ name: "relaxed", text: INSERT_RELAXED, values: [randomUUID(), BODY] });
  }

  /** What the tables of the record take on the disk, rewritten rows included: nothing is vacuumed. */
  async recordKilobytes(): Promise<number> {
    const { rows } = await this.#client.query<{ bytes: number }>(
      "select (pg_total_relation_size('task') + pg_total_relation_size('task_event') + pg_total_relation_size('turn'))::float8 as bytes",
    );
    return (rows[0]?.bytes ?? 0) / 1024;
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}
