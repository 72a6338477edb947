import type { Tx } from './database.js';

/** The columns of an event that its leaf covers; `at` with all the digits that the database keeps. */
export interface EventColumns {
  at: string;
  actor: string;
  action: string;
  subject: string;
  outcome: string;
  requestId: string;
  canonical: Buffer;
  ownerOrgId: string | null;
  issuerOrgId: string | null;
}

export interface UnsealedEvent extends EventColumns {
  id: string;
}

/** A leaf, and the event that it stands for: undefined where the table does not have it. */
export interface LeafWithEvent {
  leafIndex: number;
  eventId: string;
  event: EventColumns | undefined;
}

const COLUMNS = `coalesce(to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'never') as at, a.actor, a.action,
  a.subject, a.outcome, a.request_id as "requestId", a.canonical, a.owner_org_id as "ownerOrgId",
  a.issuer_org_id as "issuerOrgId"`;

/** Number of leaves. Until the end of the transaction nobody else seals. */
export async function lockSealer(tx: Tx): Promise<number> {
  const [row] = await tx.rows<{ size: number }>(
    `select size::float8 as size from audit_sealer where id = 1 for update`,
  );
  return row!.size;
}

export interface SealHorizon {
  /** Number of the newest event that can be seen; of the newest that is sealed. 0 for none. */
  newestEvent: string;
  newestSealed: string;
  /** The oldest running transaction, and the one that will begin next. */
  oldestRunning: string;
  nextTransaction: string;
}

export async function sealHorizon(tx: Tx): Promise<SealHorizon> {
  const [row] = await tx.rows<SealHorizon>(
    `select (select coalesce(max(id), 0) from audit)::text as "newestEvent",
       (select coalesce(max(event_id), 0) from audit_leaves)::text as "newestSealed",
       pg_snapshot_xmin(pg_current_snapshot())::text as "oldestRunning",
       pg_snapshot_xmax(pg_current_snapshot())::text as "nextTransaction"`,
  );
  return row!;
}

/**
 * Events that have no leaf, with numbers above `after` up to `upTo`, by number, written by transactions that ended before
 * the oldest one that still runs. The row's own xmin says so: no column that could be edited.
 */
export async function findUnsealed(tx: Tx, after: string, upTo: string, limit: number): Promise<UnsealedEvent[]> {
  return tx.rows<UnsealedEvent>(
    `select a.id::text as id, ${COLUMNS} from audit a
     where a.id > $1 and a.id <= $2 and not exists (select from audit_leaves l where l.event_id = a.id)
       and age(a.xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
     order by a.id limit $3`,
    [after, upTo, limit],
  );
}

/**
 * The same where nearly all have their leaf: numbers are compared in the two indexes, and only events without one are read.
 */
export async function findPassedOver(tx: Tx, after: string, upTo: string, limit: number): Promise<UnsealedEvent[]> {
  return tx.rows<UnsealedEvent>(
    `with missing as materialized (
       select id from audit where id > $1 and id <= $2
       except select event_id from audit_leaves where event_id > $1 and event_id <= $2
     )
     select a.id::text as id, ${COLUMNS} from missing m join audit a on a.id = m.id
     where age(a.xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)
     order by a.id limit $3`,
    [after, upTo, limit],
  );
}

/** Leaves from `from` on, and the new number of leaves. The caller holds the sealer's lock. */
export async function appendLeaves(
  tx: Tx,
  from: number,
  eventIds: readonly string[],
  hashes: readonly Buffer[],
): Promise<void> {
  await tx.run(
    `insert into audit_leaves (leaf_index, event_id, hash)
     select $1 + n - 1, event_id, hash from unnest($2::bigint[], $3::bytea[]) with ordinality as u (event_id, hash, n)`,
    [from, eventIds, hashes],
  );
  await tx.run(`update audit_sealer set size = $1 where id = 1`, [from + eventIds.length]);
}

export async function appendTileRoot(tx: Tx, level: number, n: number, hash: Buffer): Promise<void> {
  await tx.run(`insert into audit_tile_roots (level, n, hash) values ($1, $2, $3)`, [level, n, hash]);
}

/** Hashes with their places: leaves for level 0, roots of full tiles above. Those that are missing are left out. */
export async function readTreeHashes(
  tx: Tx,
  level: number,
  from: number,
  count: number,
): Promise<{ n: number; hash: Buffer }[]> {
  const range = [from, from + count];
  return level === 0
    ? tx.rows(
        `select leaf_index::float8 as n, hash from audit_leaves where leaf_index >= $1 and leaf_index < $2 order by leaf_index`,
        range,
      )
    : tx.rows(
        `select n::float8 as n, hash from audit_tile_roots where n >= $1 and n < $2 and level = $3 order by audit_tile_roots.n`,
        [...range, level],
      );
}

/** Index of the last leaf that is there; -1 for none. */
export async function lastLeaf(tx: Tx): Promise<number> {
  const [row] = await tx.rows<{ last: number }>(
    `select coalesce(max(leaf_index), -1)::float8 as last from audit_leaves`,
  );
  return row!.last;
}

/** Leaves from `from` on, in their order, with what their events say now. Row-level security hides events, not leaves. */
export async function readLeaves(tx: Tx, from: number, to: number): Promise<LeafWithEvent[]> {
  const rows = await tx.rows<EventColumns & { leafIndex: number; eventId: string; found: boolean }>(
    `select l.leaf_index::float8 as "leafIndex", l.event_id::text as "eventId", a.id is not null as found, ${COLUMNS}
     from audit_leaves l left join audit a on a.id = l.event_id
     where l.leaf_index >= $1 and l.leaf_index < $2 order by l.leaf_index`,
    [from, to],
  );
  return rows.map(({ leafIndex, eventId, found, ...event }) => ({
    leafIndex,
    eventId,
    event: found ? event : undefined,
  }));
}

/** An event as the caller may see it, and its leaf, undefined while it has none. */
export async function findEventLeaf(
  tx: Tx,
  eventId: string,
): Promise<{ event: EventColumns; leafIndex: number | undefined } | undefined> {
  const [row] = await tx.rows<EventColumns & { leafIndex: number | null }>(
    `select l.leaf_index::float8 as "leafIndex", ${COLUMNS}
     from audit a left join audit_leaves l on l.event_id = a.id where a.id = $1`,
    [eventId],
  );
  if (row === undefined) return undefined;
  const { leafIndex, ...event } = row;
  return { event, leafIndex: leafIndex ?? undefined };
}

export interface StoredCheckpoint {
  size: number;
  note: string;
  createdAt: Date;
}

/** The newest, or the one of `size`. */
export async function findCheckpoint(tx: Tx, size?: number): Promise<StoredCheckpoint | undefined> {
  const [row] = await tx.rows<StoredCheckpoint>(
    `select size::float8 as size, note, created_at as "createdAt" from audit_checkpoints
     where $1::bigint is null or size = $1 order by audit_checkpoints.size desc limit 1`,
    [size ?? null],
  );
  return row;
}

export async function insertCheckpoint(tx: Tx, size: number, note: string): Promise<void> {
  await tx.run(`insert into audit_checkpoints (size, note) values ($1, $2)`, [size, note]);
}

/** What witnesses said about a checkpoint; `line` is empty where one only took it. */
export async function listCosignatures(tx: Tx, size: number): Promise<{ witness: string; line: string }[]> {
  return tx.rows(`select witness, line from audit_cosignatures where size = $1 order by witness`, [size]);
}

/** Once per witness and checkpoint. */
export async function recordWitness(tx: Tx, size: number, witness: string, line: string): Promise<void> {
  await tx.run(
    `insert into audit_cosignatures (size, witness, line) values ($1, $2, $3) on conflict (size, witness) do nothing`,
    [size, witness, line],
  );
}

/** The largest checkpoint that a witness has taken; 0 for none. */
export async function newestWitnessed(tx: Tx, witness: string): Promise<number> {
  const [row] = await tx.rows<{ size: number }>(
    `select coalesce(max(size), 0)::float8 as size from audit_cosignatures where witness = $1`,
    [witness],
  );
  return row!.size;
}

/** Under which name and key (Ed25519, 32 bytes) checkpoints are signed. */
export interface AuditKeyRow {
  name: string;
  publicKey: Buffer;
}

export async function findAuditKey(tx: Tx): Promise<AuditKeyRow | undefined> {
  const [row] = await tx.rows<AuditKeyRow>(`select name, public_key as "publicKey" from audit_keys where id = 1`);
  return row;
}

/** With the private part, which only the worker may read. */
export async function findSealedAuditKey(tx: Tx): Promise<(AuditKeyRow & { sealedPrivate: Buffer }) | undefined> {
  const [row] = await tx.rows<AuditKeyRow & { sealedPrivate: Buffer }>(
    `select name, public_key as "publicKey", sealed_private as "sealedPrivate" from audit_keys where id = 1`,
  );
  return row;
}

/** True when it is the first. */
export async function insertAuditKey(tx: Tx, key: AuditKeyRow & { sealedPrivate: Buffer }): Promise<boolean> {
  const sql = `insert into audit_keys (id, name, public_key, sealed_private) values (1, $1, $2, $3) on conflict (id) do nothing`;
  return (await tx.run(sql, [key.name, key.publicKey, key.sealedPrivate])) === 1;
}

/** Events above the newest sealed one: how many, and the age of the oldest in seconds. Late ones below are not counted. */
export async function unsealedEvents(tx: Tx): Promise<{ count: number; oldestSeconds: number }> {
  const [row] = await tx.rows<{ count: number; oldestSeconds: number }>(
    `select count(*)::float8 as count, greatest(0, coalesce(extract(epoch from now() - min(at)), 0))::float8 as "oldestSeconds"
     from audit where id > (select coalesce(max(event_id), 0) from audit_leaves)`,
  );
  return row!;
}
