import type { KeyObject } from 'node:crypto';
import { chainMacRow, encodeFields } from '#credential';
import { AuthorityError, currentTraceparent } from '#kernel';
import type { Tx } from './database.js';

export type StatusKind =
  | 'key'
  | 'certificate'
  | 'device'
  | 'group'
  | 'token'
  | 'person'
  | 'role'
  | 'passkey'
  | 'issuer'
  | 'profile'
  | 'label'
  | 'anchors'
  | 'domain'
  | 'user'
  | 'identity'
  | 'transport'
  | 'ra'
  | 'crl';

/** One row of the log that is the truth about status. `at` is set by the writer and part of the MAC. */
export interface StatusChange {
  kind: StatusKind;
  /** Id of what it is about; serial in hex; `<person id>:<role>` for a role; name of a policy document; `<anchors>:<signer>` of a CRL; MAC of a transport key's row; `<device id>:<approval>` of an RA. */
  subject: string;
  status: string;
  reason: string | null;
  at: Date;
  invalidityDate: Date | null;
  /** When a retiring key ends. */
  endsAt: Date | null;
  /** Of certificates only. */
  issuerId: string | null;
  shard: number | null;
  notAfter: Date | null;
}

export interface StatusRow extends StatusChange {
  seq: number;
  mac: Buffer;
}

/** The newest row of the log: its number and its MAC, which the next row's MAC covers. */
export interface LogHead {
  seq: number;
  mac: Buffer;
}

export const EMPTY_LOG: LogHead = { seq: 0, mac: Buffer.alloc(32) };

/** The bytes that a row's MAC covers besides the MAC of the row before. */
export function encodeStatusRow(seq: number, c: StatusChange): Buffer {
  return encodeFields({
    seq: String(seq),
    kind: c.kind,
    subject: c.subject,
    status: c.status,
    reason: c.reason ?? '',
    at: c.at.toISOString(),
    invalidityDate: c.invalidityDate?.toISOString() ?? '',
    endsAt: c.endsAt?.toISOString() ?? '',
    issuerId: c.issuerId ?? '',
    shard: c.shard === null ? '' : String(c.shard),
    notAfter: c.notAfter?.toISOString() ?? '',
  });
}

/**
 * Appends to the log, and to the outbox what has to follow, and returns the number of the last row. Called last in a transaction: from here to the commit the
 * counter row is locked, and every other writer waits. At most 1,000 changes at a time.
 */
export async function appendStatusChanges(
  tx: Tx,
  macKey: KeyObject,
  changes: readonly StatusChange[],
): Promise<number> {
  if (changes.length === 0 || changes.length > 1000) {
    throw new AuthorityError('internal', `a block of ${changes.length} status changes`);
  }
  let { seq, mac } = await lockLogHead(tx);
  const rows = changes.map((change) => {
    seq += 1;
    mac = chainMacRow(macKey, mac, encodeStatusRow(seq, change));
    return {
      seq,
      kind: change.kind,
      subject: change.subject,
      status: change.status,
      reason: change.reason,
      at: change.at.toISOString(),
      invalidity_date: change.invalidityDate?.toISOString() ?? null,
      ends_at: change.endsAt?.toISOString() ?? null,
      issuer_id: change.issuerId,
      shard: change.shard,
      not_after: change.notAfter?.toISOString() ?? null,
      mac: `\\x${mac.toString('hex')}`,
    };
  });
  await tx.run(
    `with added as (
       insert into status_changes (seq, kind, subject, status, reason, at, invalidity_date, ends_at, issuer_id, shard,
         not_after, mac)
       select * from jsonb_to_recordset($1::jsonb) as r(seq bigint, kind text, subject text, status text, reason text,
         at timestamptz, invalidity_date timestamptz, ends_at timestamptz, issuer_id uuid, shard smallint,
         not_after timestamptz, mac bytea)
     ), wanted as (
       insert into outbox (topic, subject, seq, trace)
       select distinct 'crl.wanted', issuer_id::text, $2::bigint, $4 from jsonb_to_recordset($1::jsonb) as r(issuer_id uuid)
       where issuer_id is not null
       union all
       select 'ocsp.wanted', subject, seq, $4 from jsonb_to_recordset($1::jsonb) as r(seq bigint, kind text, subject text)
       where kind = 'certificate'
       union all
       select 'group.wanted', subject, seq, $4 from jsonb_to_recordset($1::jsonb) as r(seq bigint, kind text, subject text)
       where kind = 'group'
       union all
       select 'name.wanted', subject, seq, $4 from jsonb_to_recordset($1::jsonb) as r(seq bigint, kind text, subject text, status text)
       where kind in ('domain', 'user') and status = 'disabled'
       union all
       select 'ra.wanted', subject, seq, $4 from jsonb_to_recordset($1::jsonb) as r(seq bigint, kind text, subject text)
       where kind = 'ra'
     ), hint as (select pg_notify('touchmark_status', ''), pg_notify('touchmark_outbox', ''))
     update status_counter set seq = $2, mac = $3 from hint where id = 1`,
    [JSON.stringify(rows), seq, mac, currentTraceparent() ?? null],
  );
  return seq;
}

const COLUMNS = `seq::float8 as seq, kind, subject, status, reason, at, invalidity_date as "invalidityDate",
  ends_at as "endsAt", issuer_id as "issuerId", shard, not_after as "notAfter", mac`;

/** Rows after `seq` in their order, at most `limit`. */
export async function readStatusChanges(tx: Tx, after: number, limit: number): Promise<StatusRow[]> {
  return tx.rows<StatusRow>(`select ${COLUMNS} from status_changes where seq > $1 order by seq limit $2`, [
    after,
    limit,
  ]);
}

export async function readLogHead(tx: Tx): Promise<LogHead> {
  const [head] = await tx.rows<{ seq: string; mac: Buffer }>(`select seq, mac from status_counter where id = 1`);
  return { seq: Number(head!.seq), mac: head!.mac };
}

/** The same, and no other writer gets past it before this transaction ends: for what must be true of the whole log. */
export async function lockLogHead(tx: Tx): Promise<LogHead> {
  const [head] = await tx.rows<{ seq: string; mac: Buffer }>(
    `select seq, mac from status_counter where id = 1 for update`,
  );
  return { seq: Number(head!.seq), mac: head!.mac };
}

/** Whether the log tells of one of these subjects, of whatever kind, after row `seq`. */
export async function changedSince(tx: Tx, seq: number, subjects: readonly string[]): Promise<boolean> {
  const [row] = await tx.rows<{ changed: boolean }>(
    `select exists (select 1 from status_changes where seq > $1 and subject = any($2)) as changed`,
    [seq, subjects],
  );
  return row!.changed;
}

/** What the log says last about one subject; undefined when nothing was ever changed. */
export async function latestStatus(tx: Tx, kind: StatusKind, subject: string): Promise<StatusRow | undefined> {
  const [row] = await tx.rows<StatusRow>(
    `select ${COLUMNS} from status_changes where kind = $1 and subject = $2 order by seq desc limit 1`,
    [kind, subject],
  );
  return row;
}

/** What the log says last about each of the subjects, by subject. */
export async function latestStatuses(
  tx: Tx,
  kind: StatusKind,
  subjects: readonly string[],
): Promise<Map<string, StatusRow>> {
  const rows = await tx.rows<StatusRow>(
    `select distinct on (subject) ${COLUMNS} from status_changes where kind = $1 and subject = any($2)
     order by subject, seq desc`,
    [kind, subjects],
  );
  return new Map(rows.map((row) => [row.subject, row]));
}

/**
 * What the log says last about every subject of a kind, each with the MAC of the row before it: enough to check that the
 * row was written by this authority, without following the whole log.
 */
export async function latestOfKind(tx: Tx, kind: StatusKind): Promise<(StatusRow & { previousMac: Buffer })[]> {
  const rows = await tx.rows<StatusRow & { previousMac: Buffer | null }>(
    `select distinct on (subject) ${COLUMNS},
       (select p.mac from status_changes p where p.seq = c.seq - 1) as "previousMac"
     from status_changes c where kind = $1 order by subject, c.seq desc`,
    [kind],
  );
  return rows.map((row) => ({ ...row, previousMac: row.previousMac ?? EMPTY_LOG.mac }));
}

/** The history of one subject, oldest first. */
export async function statusHistory(tx: Tx, kind: StatusKind, subject: string): Promise<StatusRow[]> {
  return tx.rows<StatusRow>(`select ${COLUMNS} from status_changes where kind = $1 and subject = $2 order by seq`, [
    kind,
    subject,
  ]);
}
