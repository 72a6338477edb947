import { createPostgresBackend, Queue, runMigrations, Worker, type Processor } from 'bullmq';
import pg from 'pg';
import type { Logger } from 'pino';
import type { DatabaseConnection } from '#store';

const SCHEMA = 'bull';
/** A worker that died gives its jobs back after so long. */
const LOCK_MS = 10_000;
const QUEUE_CONNECTIONS = 2;
const WORKER_CONNECTIONS = 4;

/** Makes queues and workers on PostgreSQL or, with a URL, on Redis: the same jobs either way. */
export interface QueueBackend {
  /** Brings what the backend needs up to date; safe from several processes at once. */
  prepare(): Promise<void>;
  queue(name: string): Queue;
  worker(name: string, processor: Processor, concurrency: number): Worker;
}

export function queueBackend(redisUrl: string | undefined, connection: DatabaseConnection, log: Logger): QueueBackend {
  return redisUrl === undefined ? postgresBackend(connection, log) : redisBackend(redisUrl, log);
}

const WORKER_OPTIONS = {
  lockDuration: LOCK_MS,
  stalledInterval: LOCK_MS,
  maxStalledCount: 10,
  removeOnComplete: { count: 100 },
  removeOnFail: { count: 1000 },
};

function redisBackend(url: string, log: Logger): QueueBackend {
  const connection = { url, maxRetriesPerRequest: null };
  return {
    prepare: async () => undefined,
    queue: (name) => listened(new Queue(name, { connection }), log, name),
    worker: (name, processor, concurrency) =>
      listened(new Worker(name, processor, { connection, concurrency, ...WORKER_OPTIONS }), log, name),
  };
}

function postgresBackend(to: DatabaseConnection, log: Logger): QueueBackend {
  const { host, port, user, password, database, ssl } = to;
  const connection = { host, port, user, password, database, ssl, schema: SCHEMA, keepAlive: true };
  return {
    prepare: () => migrateQueues(to),
    queue: (name) => {
      const options = { connection: { ...connection, max: QUEUE_CONNECTIONS } };
      return listened(new Queue(name, options, createPostgresBackend) as unknown as Queue, log, name);
    },
    worker: (name, processor, concurrency) => {
      const options = { connection: { ...connection, max: WORKER_CONNECTIONS }, concurrency, ...WORKER_OPTIONS };
      return listened(new Worker(name, processor, options, createPostgresBackend) as unknown as Worker, log, name);
    },
  };
}

/**
 * BullMQ's own migrations, as tm_worker. That role owns the schema `bull` and may make no other, and PostgreSQL refuses
 * even CREATE SCHEMA IF NOT EXISTS to it: the statement is left out.
 */
async function migrateQueues({ host, port, user, password, database, ssl }: DatabaseConnection): Promise<void> {
  const client = new pg.Client({ host, port, user, password, database, ssl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const query = async (sql: string, values?: unknown[]) =>
      sql.startsWith('CREATE SCHEMA') ? { rows: [], rowCount: 0 } : client.query(sql, values);
    await runMigrations({ query } as Parameters<typeof runMigrations>[0], SCHEMA);
  } finally {
    await client.end();
  }
}

/** Without a listener, one lost connection would end the process. */
function listened<T extends Queue | Worker>(one: T, log: Logger, name: string): T {
  (one as Queue).on('error', (error: Error) => log.warn({ err: error, queue: name }, 'queue connection'));
  return one;
}
