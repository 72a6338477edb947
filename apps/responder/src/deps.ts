import type { Logger } from 'pino';
import type { SealingKey } from '#credential';
import type { Clock, Config } from '#kernel';
import type { Follower } from '#status';
import type { Database } from '#store';

/** What the status plane is made of. It listens only when its app is told to, and closes nothing that it was given. */
export interface ResponderDeps {
  config: Pick<Config, 'lifetimes'>;
  /** With the role tm_responder. */
  database: Database;
  /** Started; certificates are enough (no peppers). */
  follower: Follower;
  /** secrets/ocsp.kek, 32 bytes. */
  ocspKek: SealingKey;
  clock: Clock;
  log: Logger;
  /** When the certificate of this serial is to be renewed; undefined where there is none that is good. */
  renewal?: (serial: string) => Promise<{ start: Date; end: Date; now: boolean } | undefined>;
  /** Further members of `/.well-known/touchmark`: what the other planes can do. */
  discovery?: () => Readonly<Record<string, unknown>>;
}
