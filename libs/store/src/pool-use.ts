import type { DataSource } from 'typeorm';

export interface PoolUse {
  busy: number;
  idle: number;
  /** Requests that no connection was free for. */
  waiting: number;
}

/** What the driver's pool tells of itself; nothing is open once the source is closed. */
export function poolUse(source: DataSource): PoolUse {
  const pool = (
    source.driver as unknown as { master?: { totalCount: number; idleCount: number; waitingCount: number } }
  ).master;
  if (pool === undefined) return { busy: 0, idle: 0, waiting: 0 };
  return { busy: pool.totalCount - pool.idleCount, idle: pool.idleCount, waiting: pool.waitingCount };
}
