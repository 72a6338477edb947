import type { Tx } from './database.js';

/**
 * What has to follow a change: `crl.wanted` (subject: issuer id), `ocsp.wanted` (subject: serial in hex), `group.wanted`
 * (subject: group id, whose members have to follow it), `name.wanted` (subject: id of a domain or user, whose certificates have to) and
 * `ra.wanted` (subject: `<device id>:<approval>`, what that registration authority obtained). A row says only what is wanted and up to which seq; never a secret, never a payload to trust. Written by `appendStatusChanges`.
 */
export type Topic = 'crl.wanted' | 'ocsp.wanted' | 'group.wanted' | 'name.wanted' | 'ra.wanted';

export interface OutboxRow {
  id: string;
  topic: Topic;
  subject: string;
  seq: number | null;
  /** `traceparent` of what wanted it, where that was traced. */
  trace: string | null;
}

/** Rows never relayed, or relayed `staleSeconds` ago and still not done; locked, other relays skip them. */
export async function takeFromOutbox(tx: Tx, limit: number, staleSeconds: number): Promise<OutboxRow[]> {
  return tx.rows<OutboxRow>(
    `select id::text as id, topic, subject, seq::float8 as seq, trace from outbox
     where done_at is null and (relayed_at is null or relayed_at < now() - make_interval(secs => $2))
     order by id limit $1 for update skip locked`,
    [limit, staleSeconds],
  );
}

export async function markRelayed(tx: Tx, ids: readonly string[]): Promise<void> {
  await tx.run(`update outbox set relayed_at = now() where id = any($1::bigint[])`, [ids]);
}

/** Rows of a topic about `subject` are done once what followed covers their seq. */
export async function markDone(tx: Tx, topic: Topic, subject: string, upToSeq: number): Promise<number> {
  return tx.run(
    `update outbox set done_at = now() where topic = $1 and subject = $2 and done_at is null and seq <= $3`,
    [topic, subject, upToSeq],
  );
}

/** Age in seconds of the oldest row not yet done, and how many there are. */
export async function outboxLag(tx: Tx): Promise<{ open: number; oldestSeconds: number }> {
  const [row] = await tx.rows<{ open: number; oldestSeconds: number }>(
    `select count(*)::int as open, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as "oldestSeconds"
     from outbox where done_at is null`,
  );
  return row!;
}

/** Done rows older than `days` days go, and idempotent answers past their time. Returns how many rows went. */
export async function purgeTrail(tx: Tx, days: number): Promise<number> {
  const outbox = await tx.run(`delete from outbox where done_at < now() - make_interval(days => $1)`, [days]);
  return outbox + (await tx.run(`delete from idempotency where expires_at < now() - interval '1 day'`));
}
