import type { Tx } from './database.js';
import type { CaKeyRow } from './issuers.js';

/** Tables whose rows hold a verifier sealed under a pepper. */
export const VERIFIER_TABLES = ['keys', 'operator_tokens', 'enrollment_secrets', 'invitations'] as const;
export type VerifierTable = (typeof VERIFIER_TABLES)[number];

const stale = (table: VerifierTable, also = ''): string =>
  `select id from ${table} where pepper_version < $1 and id > $2 ${also} order by id limit $3`;
const renew = (table: VerifierTable): string =>
  `update ${table} t set sealed_verifier = r.sealed, pepper_version = $3
   from (select unnest($1::text[]) as id, unnest($2::bytea[]) as sealed) r where t.id = r.id and t.pepper_version < $3`;

const STALE: Readonly<Record<VerifierTable, string>> = {
  keys: stale('keys'),
  operator_tokens: stale('operator_tokens'),
  enrollment_secrets: stale('enrollment_secrets'),
  // A used one is never opened again, and its row does not change any more.
  invitations: stale('invitations', 'and used_at is null'),
};
const RENEW: Readonly<Record<VerifierTable, string>> = {
  keys: renew('keys'),
  operator_tokens: renew('operator_tokens'),
  // What is kept of a secret for HTTP Digest moves on with it.
  enrollment_secrets: `update enrollment_secrets t
   set sealed_verifier = r.sealed, sealed_digest = r.digest, pepper_version = $3
   from (select unnest($1::text[]) as id, unnest($2::bytea[]) as sealed, unnest($4::bytea[]) as digest) r
   where t.id = r.id and t.pepper_version < $3`,
  invitations: renew('invitations'),
};

/** Ids of rows sealed under an older pepper than `version`, in their order. */
export async function findStaleVerifiers(
  tx: Tx,
  table: VerifierTable,
  from: { version: number; after: string; limit: number },
): Promise<string[]> {
  const rows = await tx.rows<{ id: string }>(STALE[table], [from.version, from.after, from.limit]);
  return rows.map(({ id }) => id);
}

/** Puts verifiers sealed under `version` in the place of those sealed under an older one. */
export async function replaceVerifiers(
  tx: Tx,
  table: VerifierTable,
  version: number,
  rows: readonly { id: string; sealed: Buffer; digest: Buffer | null }[],
): Promise<number> {
  const values = [rows.map(({ id }) => id), rows.map(({ sealed }) => sealed), version];
  const digests = table === 'enrollment_secrets' ? [rows.map(({ digest }) => digest)] : [];
  return tx.run(RENEW[table], [...values, ...digests]);
}

interface Sealed {
  id: string;
  sealedVerifier: Buffer;
  pepperVersion: number;
  expiresAt: Date;
}

export async function findSealedSecrets(
  tx: Tx,
  ids: readonly string[],
): Promise<(Sealed & { sealedDigest: Buffer | null; deviceId: string; instanceId: string })[]> {
  return tx.rows(
    `select s.id, s.sealed_verifier as "sealedVerifier", s.sealed_digest as "sealedDigest",
       s.pepper_version as "pepperVersion", s.expires_at as "expiresAt",
       d.id as "deviceId", d.instance_id as "instanceId"
     from enrollment_secrets s join devices d on d.id = s.device_id where s.id = any($1)`,
    [ids],
  );
}

export async function findSealedInvitations(
  tx: Tx,
  ids: readonly string[],
): Promise<(Sealed & { personId: string; organizationId: string })[]> {
  return tx.rows(
    `select id, sealed_verifier as "sealedVerifier", pepper_version as "pepperVersion", expires_at as "expiresAt",
       person_id as "personId", organization_id as "organizationId"
     from invitations where id = any($1)`,
    [ids],
  );
}

export async function listCaKeys(tx: Tx): Promise<CaKeyRow[]> {
  return tx.rows<CaKeyRow>(
    `select id, key_type as "keyType", spki, sealed_private as "sealedPrivate", location from ca_keys order by id`,
  );
}

export async function replaceSealedCaKey(tx: Tx, id: string, sealed: Buffer): Promise<void> {
  await tx.run(`update ca_keys set sealed_private = $2 where id = $1 and location = 'sealed'`, [id, sealed]);
}

export async function replaceSealedAuditKey(tx: Tx, sealed: Buffer): Promise<void> {
  await tx.run(`update audit_keys set sealed_private = $1 where id = 1`, [sealed]);
}

export interface SealedWebhook {
  id: string;
  organizationId: string;
  sealedSecret: Buffer;
  sealedPrevious: Buffer | null;
}

/** With the rows locked until the transaction ends: a secret that is changed meanwhile is not changed back. */
export async function lockSealedWebhooks(tx: Tx, after: string, limit: number): Promise<SealedWebhook[]> {
  return tx.rows<SealedWebhook>(
    `select id, organization_id as "organizationId", sealed_secret as "sealedSecret", sealed_previous as "sealedPrevious"
     from webhooks where id > $1 order by id limit $2 for no key update`,
    [after, limit],
  );
}

export async function replaceSealedWebhook(tx: Tx, { id, sealedSecret, sealedPrevious }: SealedWebhook): Promise<void> {
  await tx.run(`update webhooks set sealed_secret = $2, sealed_previous = $3 where id = $1`, [
    id,
    sealedSecret,
    sealedPrevious,
  ]);
}
