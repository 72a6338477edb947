import type { KeyObject } from 'node:crypto';
import type { Logger } from 'pino';
import type { Pepper, SealingKey } from '#credential';
import type { Clock, Config, Lifetimes } from '#kernel';
import type { Signer } from '#signing';
import type { Follower } from '#status';
import type { Scope, TransactionOptions } from '#store';
import type { AccountVerifier } from './enrollment/authenticate/account-verifier.js';
import type { DigestNonces } from './enrollment/authenticate/digest-nonces.js';
import type { FailedAttempts } from './failed-attempts.js';
import type { IssuerDirectory } from './issuer-directory.js';
import type { Quotas } from './quota.js';
import type { Transactor } from './transactor.js';

/** Who does something: recorded in every audit entry, and whose rows may be seen. */
export interface Actor {
  /** `person:<id>`, `operator:<token id>`, `device:<id>`, `anonymous:<address>` or `system:<plane>`. */
  id: string;
  organizationId: string;
  /**
   * Who answers for it where a second person is asked for: the person, the maker of a machine token, the authority's own id
   * for every bootstrap token. Absent: nobody can.
   */
  personId?: string | undefined;
  /** An operator of the authority itself, or the authority's own plane. */
  authority: boolean;
  /** An operator of a testing organization. */
  testing?: boolean;
  requestId: string;
}

/** What the use cases of one plane work with. Each plane has its own, with its own database role and secrets. */
export interface AuthorityContext {
  plane: 'api' | 'est' | 'worker' | 'init';
  database: Transactor;
  /** For what must stay although the work around it is rolled back: refusals. Elsewhere the same as `database`. */
  independent: Transactor;
  clock: Clock;
  signer: Signer;
  follower: Pick<Follower, 'index' | 'catchUp' | 'assertFresh'>;
  macKey: KeyObject;
  /** The newest, for sealing. */
  pepper: Pepper;
  /** All, by version, for opening. */
  peppers: ReadonlyMap<number, Pepper>;
  /** Seals derivation roots; api only. */
  rootsPublicKey: Buffer | undefined;
  /** Seals the symmetric keys of devices; api only. */
  transportPublicKey: Buffer | undefined;
  /** Opens them; est only. */
  transportPrivateKey: Buffer | undefined;
  /** Seals webhook secrets and what a sign-in must come back with; api and worker only. */
  apiKek: SealingKey | undefined;
  issuers: IssuerDirectory;
  lifetimes: Lifetimes;
  settings: Pick<Config, 'singleOperator' | 'access' | 'quotas' | 'webhooks' | 'mail' | 'dns'>;
  /** Organization of the authority itself. */
  authorityId: string;
  /** Checks tokens of accounts; undefined: nobody enrolls by one. */
  accounts?: Pick<AccountVerifier, 'verify'> | undefined;
  failedAttempts: FailedAttempts;
  digestNonces: DigestNonces;
  quotas: Quotas;
  log: Logger;
}

/** Row-level security of the api plane sees what the actor may see; the other planes' roles have policies of their own. */
export function scopeOf(a: Pick<AuthorityContext, 'plane'>, actor: Actor): TransactionOptions {
  if (a.plane !== 'api') return {};
  const { organizationId, authority, testing = false } = actor;
  const scope: Scope = { organizationId, authority, testing };
  return { scope };
}

/** The plane itself as actor: what a timer or a start does. */
export function systemActor(a: Pick<AuthorityContext, 'plane' | 'authorityId'>, requestId: string): Actor {
  return { id: `system:${a.plane}`, organizationId: a.authorityId, authority: true, requestId };
}
