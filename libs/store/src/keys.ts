import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export type KeyStatus = 'pending' | 'active' | 'retiring' | 'suspended' | 'revoked';
export type AudienceKind = 'all' | 'providers' | 'countries';

/** Everything but status, statusBefore and endsAt is fixed at issue and covered by the row's MAC. */
export interface KeyRow {
  id: string;
  releaseId: string;
  environment: 'live' | 'test';
  audience: AudienceKind;
  /** Provider ids or country codes, sorted; empty for `all`. */
  audienceValues: string[];
  sealedVerifier: Buffer;
  pepperVersion: number;
  sealedRoot: Buffer;
  /** Whether devices of the app may enroll by it. */
  enroll: boolean;
  predecessorId: string | null;
  expiresAt: Date;
  mac: Buffer;
  status: KeyStatus;
  statusBefore: KeyStatus | null;
  /** When a retiring key ends, if before expiresAt. */
  endsAt: Date | null;
  ownerOrgId: string;
  issuerOrgId: string;
  createdAt: Date;
}

const INDEXED = `k.id, k.release_id as "releaseId", k.environment, k.audience,
  coalesce((select array_agg(a.value order by a.value collate "C") from key_audiences a where a.key_id = k.id), '{}')
    as "audienceValues",
  k.sealed_verifier as "sealedVerifier", k.pepper_version as "pepperVersion", k.enroll, k.predecessor_id as "predecessorId",
  k.expires_at as "expiresAt", k.mac, k.status, k.status_before as "statusBefore",
  k.ends_at as "endsAt", k.owner_org_id as "ownerOrgId", k.issuer_org_id as "issuerOrgId", k.created_at as "createdAt"`;
const COLUMNS = `${INDEXED}, k.sealed_root as "sealedRoot"`;

export async function insertKey(tx: Tx, row: Omit<KeyRow, 'createdAt' | 'statusBefore' | 'endsAt'>): Promise<void> {
  await tx.run(
    `insert into keys (id, release_id, environment, audience, sealed_verifier, pepper_version, sealed_root, predecessor_id,
       expires_at, mac, status, owner_org_id, issuer_org_id, enroll)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    [
      row.id,
      row.releaseId,
      row.environment,
      row.audience,
      row.sealedVerifier,
      row.pepperVersion,
      row.sealedRoot,
      row.predecessorId,
      row.expiresAt,
      row.mac,
      row.status,
      row.ownerOrgId,
      row.issuerOrgId,
      row.enroll,
    ],
  );
  if (row.audienceValues.length > 0) {
    await tx.run(
      `insert into key_audiences (key_id, value, owner_org_id, issuer_org_id) select $1, unnest($2::text[]), $3, $4`,
      [row.id, row.audienceValues, row.ownerOrgId, row.issuerOrgId],
    );
  }
}

export async function findKey(tx: Tx, id: string): Promise<KeyRow | undefined> {
  const [row] = await tx.rows<KeyRow>(`select ${COLUMNS} from keys k where k.id = $1`, [id]);
  return row;
}

/** The key with its row locked, so that two changes of one key follow each other. */
export async function lockKey(tx: Tx, id: string): Promise<KeyRow | undefined> {
  const [row] = await tx.rows<KeyRow>(`select ${COLUMNS} from keys k where k.id = $1 for no key update`, [id]);
  return row;
}

export async function findSuccessor(tx: Tx, id: string): Promise<KeyRow | undefined> {
  const [row] = await tx.rows<KeyRow>(`select ${COLUMNS} from keys k where k.predecessor_id = $1`, [id]);
  return row;
}

export interface KeyFilter {
  releaseId?: string | undefined;
  status?: KeyStatus | 'expired' | undefined;
}

export async function listKeys(tx: Tx, page: PageRequest, filter: KeyFilter, at: Date): Promise<Page<KeyRow>> {
  const [createdAt, id] =
    page.cursor === undefined ? [null, null] : decodeCursor(page.cursor, ['number', 'credential']);
  const rows = await tx.rows<KeyRow & { createdMicros: string }>(
    `select ${COLUMNS}, (extract(epoch from k.created_at) * 1000000)::bigint::text as "createdMicros" from keys k
     where ($1::bigint is null or (k.created_at, k.id) < (timestamptz 'epoch' + $1 * interval '1 microsecond', $2)) and ($3::uuid is null or k.release_id = $3)
       and ($4::text is null or $4 = case
            when k.status <> 'revoked' and least(k.expires_at, coalesce(k.ends_at, k.expires_at)) <= $5 then 'expired'
            else k.status end)
     order by k.created_at desc, k.id desc limit $6`,
    [createdAt ?? null, id ?? null, filter.releaseId ?? null, filter.status ?? null, at, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.createdMicros, row.id]);
}

/** Conditional: true when the key was in one of `from`. */
export async function setKeyStatus(
  tx: Tx,
  id: string,
  from: readonly KeyStatus[],
  to: { status: KeyStatus; statusBefore: KeyStatus | null; endsAt: Date | null },
): Promise<boolean> {
  const sql = `update keys set status = $3, status_before = $4, ends_at = $5 where id = $1 and status = any($2)`;
  return (await tx.run(sql, [id, from, to.status, to.statusBefore, to.endsAt])) === 1;
}

/** Keys by id, for the in-memory index; without the derivation root, which not every plane may read. */
export async function findKeys(tx: Tx, ids: readonly string[]): Promise<Omit<KeyRow, 'sealedRoot'>[]> {
  return tx.rows<Omit<KeyRow, 'sealedRoot'>>(`select ${INDEXED} from keys k where k.id = any($1)`, [ids]);
}

/**
 * How many keys of a release can be used in an environment now: active or retiring, or suspended, and not past their end.
 * Whoever counts holds back the others until the end of its transaction, so that the count stays true.
 */
export async function countUsableKeys(tx: Tx, releaseId: string, environment: string, at: Date): Promise<number> {
  await tx.rows(`select pg_advisory_xact_lock(hashtextextended($1, 1))`, [`${releaseId} ${environment}`]);
  const [row] = await tx.rows<{ count: number }>(
    `select count(*)::int as count from keys where release_id = $1 and environment = $2
     and status in ('active', 'retiring', 'suspended') and least(expires_at, coalesce(ends_at, expires_at)) > $3`,
    [releaseId, environment, at],
  );
  return row!.count;
}
