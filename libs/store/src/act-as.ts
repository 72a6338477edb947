import type { DataSource } from 'typeorm';

interface Pool {
  on(event: 'connect', handler: (client: { query(sql: string): Promise<unknown> }) => void): void;
  totalCount: number;
}

/**
 * Makes every connection of the pool act as `role`, with the schema `touchmark` first: what is made then belongs to that
 * role, whoever logged in. The driver queues the statement before any other on a new connection.
 */
export async function actAsRole(source: DataSource, role: 'tm_owner'): Promise<void> {
  const statement = `set role ${role}; set search_path = touchmark`;
  const pool = (source.driver as unknown as { master: Pool }).master;
  pool.on('connect', (client) => void client.query(statement).catch(() => undefined));
  const open = Array.from({ length: pool.totalCount }, () => source.createQueryRunner());
  for (const runner of open) {
    await runner.connect();
    await runner.query(statement);
  }
  for (const runner of open) await runner.release();
}
