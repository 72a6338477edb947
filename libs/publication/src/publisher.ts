import type { Logger } from 'pino';
import type { Clock, Lifetimes } from '#kernel';
import type { SubjectPublicKey } from '#pki';
import type { Signer } from '#signing';
import type { Follower } from '#status';
import type { Database, IssuerKind } from '#store';
import type { OcspDelegates } from './ocsp-delegates.js';

/** A certification authority as far as publishing needs it; the whole of it is `Issuer` of authority. */
export interface PublishedIssuer {
  id: string;
  kind: IssuerKind;
  /** null: its key is elsewhere, and its CRL is brought in. */
  caKeyId: string | null;
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  /** Base of the URLs in this issuer's certificates. */
  statusUrl: string;
  /** Shards 0 to `shards` - 1; a root has none beside the full CRL. */
  shards: number;
}

/** What publishing works with; made once per worker. The follower must follow certificates of the same database. */
export interface Publisher {
  database: Database;
  clock: Clock;
  signer: Signer;
  follower: Follower;
  delegates: OcspDelegates;
  lifetimes: Lifetimes;
  log: Logger;
}

/** Who stands in the audit log for what is published. */
export const PUBLISHER_ACTOR = 'system:worker';
