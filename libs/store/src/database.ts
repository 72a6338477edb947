import type { PoolClient } from 'pg';
import { DataSource, type QueryRunner } from 'typeorm';
import { AuthorityError, inSpan, isAuthorityError } from '#kernel';
import type { DatabaseConnection } from './connection.js';
import { actAsRole } from './act-as.js';
import { poolUse, type PoolUse } from './pool-use.js';
import { isRetryable, toAuthorityError } from './failure.js';
import { intentOf } from './statement-intent.js';

/** Everything a query may be given. */
export type SqlValue =
  string | number | bigint | boolean | Buffer | Date | null | readonly string[] | readonly (Buffer | null)[];

/** One open transaction. Store functions take it first and never open one themselves. */
export interface Tx {
  /** Rows of a statement that returns rows (also INSERT ... RETURNING). */
  rows<T extends object>(sql: string, values?: readonly SqlValue[]): Promise<T[]>;
  /** Number of rows that a statement inserted, updated or deleted. */
  run(sql: string, values?: readonly SqlValue[]): Promise<number>;
  /** The driver's own client, for cursors. */
  client(): PoolClient;
}

/** Whose rows a transaction of the api plane may see; other planes are limited by their role alone. */
export interface Scope {
  organizationId: string;
  /** The authority's own operators see every organization. */
  authority: boolean;
  /** A testing organization sees every vendor's entry: it must be able to name whose app it vouches for. */
  testing?: boolean;
}

export interface TransactionOptions {
  scope?: Scope;
  /** One snapshot for all reads, read only; for CRLs and follower start. */
  snapshot?: boolean;
}

/** First half of every advisory lock of `exclusively`. */
const EXCLUSIVE = 0x746d;

/** One plane's connection pool, under that plane's own database role. */
export class Database {
  private constructor(private readonly source: DataSource) {}

  /**
   * Connects at once. `actAs` makes every connection act as another role that the login role belongs to; `settings` of
   * Postgres hold for every connection.
   * Throws `unavailable` when the database cannot be reached.
   */
  static async open(
    connection: DatabaseConnection,
    poolSize: number,
    onError: (error: Error) => void,
    { actAs, settings = {} }: { actAs?: 'tm_owner'; settings?: Readonly<Record<string, string>> } = {},
  ): Promise<Database> {
    const source = new DataSource({
      type: 'postgres',
      host: connection.host,
      port: connection.port,
      username: connection.user,
      password: connection.password,
      database: connection.database,
      ssl: connection.ssl,
      synchronize: false,
      logging: false,
      entities: [],
      poolSize,
      poolErrorHandler: onError,
      connectTimeoutMS: 3000,
      extra: {
        keepAlive: true,
        options: Object.entries(settings)
          .map(([name, value]) => `-c ${name}=${value}`)
          .join(' '),
      },
    });
    try {
      await source.initialize();
      if (actAs) await actAsRole(source, actAs);
    } catch (error) {
      throw toAuthorityError(error);
    }
    return new Database(source);
  }

  /**
   * Runs `work` in one transaction: committed when it resolves, rolled back when it rejects. A serialization failure or
   * deadlock (40001, 40P01) runs the whole of `work` again, three times at most. Throws `unavailable` when the
   * database cannot be reached: nothing was done then, or (commit in doubt) the caller's retry finds what was done.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return retrying(() => this.attempt(work, options));
  }

  /** One statement, which is its own transaction. */
  rows<T extends object>(sql: string, values: readonly SqlValue[] = []): Promise<T[]> {
    return this.single((tx) => tx.rows<T>(sql, values));
  }

  /** `work` of exactly one statement, which is its own transaction: one round trip instead of three. Retried alike. */
  single<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return retrying(async () => {
      const runner = this.source.createQueryRunner();
      try {
        return await work(await txOf(runner));
      } finally {
        await runner.release().catch(() => undefined);
      }
    });
  }

  /**
   * Calls `listener` with the payload of each NOTIFY on `channel` until the returned function is called. The connection is
   * its own; when it breaks, `onLost` is told once: notification is only a hint, the caller's polling goes on.
   */
  async listen(
    channel: string,
    listener: (payload: string) => void,
    onLost: (error: Error) => void,
  ): Promise<() => Promise<void>> {
    const runner = this.source.createQueryRunner();
    const client = (await runner.connect()) as {
      on(event: 'notification', handler: (message: { payload?: string }) => void): void;
      on(event: 'error', handler: (value: Error) => void): void;
      removeAllListeners(event: 'notification'): void;
      removeListener(event: 'error', handler: (value: Error) => void): void;
    };
    client.on('notification', ({ payload }) => listener(payload ?? ''));
    client.on('error', onLost);
    await runner.query(`listen ${channel}`);
    return async () => {
      client.removeAllListeners('notification');
      await runner.query(`unlisten ${channel}`).catch(onLost);
      client.removeListener('error', onLost);
      await runner.release();
    };
  }

  /**
   * `work` while nobody else does what has this number: `undefined` at once where somebody does. Held by a connection of its own, of
   * this pool; for rare work that a person starts, since a connection that is lost lets go of it.
   */
  async exclusively<T>(number: number, work: () => Promise<T>): Promise<{ done: T } | undefined> {
    const runner = this.source.createQueryRunner();
    try {
      const tx = await txOf(runner);
      const [row] = await tx.rows<{ taken: boolean }>(
        'select pg_try_advisory_lock($1::integer, $2::integer) as taken',
        [EXCLUSIVE, number],
      );
      if (row?.taken !== true) return undefined;
      try {
        return { done: await work() };
      } finally {
        await tx
          .rows('select pg_advisory_unlock($1::integer, $2::integer)', [EXCLUSIVE, number])
          .catch(() => undefined);
      }
    } catch (error) {
      throw isAuthorityError(error) ? error : toAuthorityError(error);
    } finally {
      await runner.release().catch(() => undefined);
    }
  }

  /** How many connections there are, and how many wait for one. */
  get use(): PoolUse {
    return poolUse(this.source);
  }

  async close(): Promise<void> {
    if (this.source.isInitialized) await this.source.destroy();
  }

  private async attempt<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions): Promise<T> {
    const runner = this.source.createQueryRunner();
    try {
      const tx = await txOf(runner);
      await tx.run(options.snapshot ? 'begin isolation level repeatable read read only' : 'begin');
      try {
        if (options.scope) await enterScope(tx, options.scope);
        const result = await work(tx);
        await tx.run('commit');
        return result;
      } catch (error) {
        await tx.run('rollback').catch(() => undefined);
        throw error;
      }
    } finally {
      await runner.release().catch(() => undefined);
    }
  }
}

async function retrying<T>(attempt: () => Promise<T>): Promise<T> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      if (attempts < 3 && isRetryable(error)) continue;
      throw isAuthorityError(error) ? error : toAuthorityError(error);
    }
  }
}

/** Statement texts that this process has met, each with the name under which connections prepare it. */
const statementNames = new Map<string, string>();

function nameOf(sql: string): string {
  let name = statementNames.get(sql);
  if (name === undefined) {
    name = `tm${statementNames.size}`;
    statementNames.set(sql, name);
  }
  return name;
}

/**
 * Statements go to the driver by name, so that each connection parses and plans them once: with partitions, planning costs
 * more than running. The texts are constants of this lib, so their number is bounded.
 */
async function txOf(runner: QueryRunner): Promise<Tx> {
  const client = (await runner.connect()) as PoolClient;
  const query = <T extends object>(sql: string, values: readonly SqlValue[]) => {
    const { name, facts } = intentOf(sql);
    return inSpan(name, facts, () =>
      values.length === 0
        ? client.query<T>(sql)
        : client.query<T>({ name: nameOf(sql), text: sql, values: [...values] }),
    );
  };
  return {
    rows: async <T extends object>(sql: string, values: readonly SqlValue[] = []) => (await query<T>(sql, values)).rows,
    run: async (sql, values = []) => (await query(sql, values)).rowCount ?? 0,
    client: () => client,
  };
}

async function enterScope(tx: Tx, scope: Scope): Promise<void> {
  if (!/^[0-9a-f-]{36}$/.test(scope.organizationId)) throw new AuthorityError('internal', 'scope without organization');
  await tx.rows(`select set_config('app.org', $1, true), set_config('app.scope', $2, true)`, [
    scope.organizationId,
    scope.authority ? 'authority' : scope.testing === true ? 'testing' : 'organization',
  ]);
}
