import type { AuthorityContext } from '#authority';
import type { SealingKey } from '#credential';
import type { Config, Registry } from '#kernel';
import type { Follower } from '#status';
import type { Database, DatabaseConnection } from '#store';
import type { CanaryDeps } from './canary/canary.js';

/** What the worker is made of. It closes nothing that it was given. */
export interface WorkerDeps {
  config: Pick<Config, 'lifetimes' | 'redisUrl' | 'audit' | 'home'>;
  /** Plane `worker`; of the same database and follower. */
  authority: AuthorityContext;
  /** With the role tm_worker, at least 6 connections. */
  database: Database;
  /** Started. */
  follower: Follower;
  /** As tm_worker: BullMQ makes its own connections, to the schema `bull`, where no `config.redisUrl` is set. */
  connection: DatabaseConnection;
  /** secrets/ocsp.kek, 32 bytes. */
  ocspKek: SealingKey;
  /** secrets/audit.kek, 32 bytes. */
  auditKek: SealingKey;
  /** Replaces a file as a whole or not at all, also across a power cut. */
  replaceFile: (file: string, content: string, mode: number) => Promise<void>;
  /** undefined: no inner canary. */
  canary?: CanaryDeps | undefined;
  /** Where its figures go; undefined: nobody asks. */
  registry?: Registry;
}
