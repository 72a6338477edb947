import type { Tx } from './database.js';

/** What stands in the database that somebody might have to act on. Ages are in seconds, at the database's own time. */
export interface Figures {
  /** Read first, before anything else is asked. */
  now: Date;
  outbox: { topic: string; open: number; oldestSeconds: number }[];
  /** CRLs and delegated OCSP signers, by the names of their artifacts. */
  published: { name: string; thisUpdate: Date; nextUpdate: Date | null }[];
  /** undefined: no answer is published. */
  oldestOcspAnswer: Date | undefined;
  issuers: { id: string; kind: string; notAfter: Date }[];
  statusSeq: number;
  intents: { open: number; oldestSeconds: number };
  approvals: number;
  /** Good certificates with a bad key, and imported lists of blocked keys that are not what they were. */
  badKeys: { blocked: number; weak: number; alteredLists: number };
  /** First enrollments that wait for somebody's approval. */
  enrollments: number;
  deliveries: { due: number; oldestSeconds: number; failed: number };
  audit: { events: number; leaves: number; unsealedSeconds: number };
  /** By its audit entries, whichever worker ran it; `detail` of the last run as it stands there. */
  canary: { passedAt: Date | null; detail: unknown };
}

/**
 * Everything in one go, each by an index or from a handful of rows. `limitMs`: what one statement may take. A failed
 * delivery counts for a day.
 */
export async function readFigures(tx: Tx, limitMs: number): Promise<Figures> {
  const { now } = await one<{ now: Date }>(tx, `select clock_timestamp() as now`);
  await tx.rows(`select set_config('statement_timeout', $1, true)`, [String(limitMs)]);
  return {
    now,
    outbox: await tx.rows(
      `select topic, count(*)::int as open, extract(epoch from now() - min(created_at))::float8 as "oldestSeconds"
       from outbox where done_at is null group by topic`,
    ),
    published: await tx.rows(
      `select name, this_update as "thisUpdate", next_update as "nextUpdate" from artifacts
       where name like 'crl/%' or name like 'ocsp-delegate/%'`,
    ),
    oldestOcspAnswer:
      (await one<{ oldest: Date | null }>(tx, `select min(this_update) as oldest from ocsp_answers`)).oldest ??
      undefined,
    issuers: await tx.rows(`select id, kind, not_after as "notAfter" from issuers where certificate is not null`),
    statusSeq: (await one<{ seq: number }>(tx, `select seq::float8 as seq from status_counter where id = 1`)).seq,
    intents: await one(
      tx,
      `select count(*)::int as open, coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as "oldestSeconds"
       from serials where state = 'issuing'`,
    ),
    approvals: (
      await one<{ open: number }>(
        tx,
        `select count(*)::int as open from approvals where state = 'proposed' and expires_at > now()`,
      )
    ).open,
    badKeys: await one(
      tx,
      `select count(*) filter (where problem = 'blocked')::int as blocked, count(*) filter (where problem = 'weak')::int as weak,
         (select altered from key_scan where id = 1) as "alteredLists"
       from key_findings where not_after > now()`,
    ),
    enrollments: (
      await one<{ open: number }>(
        tx,
        `select count(*)::int as open from pending_enrollments where state = 'pending' and expires_at > now()`,
      )
    ).open,
    deliveries: await readDeliveries(tx),
    audit: await readAuditFigures(tx),
    canary: await readCanaryFigures(tx),
  };
}

async function readDeliveries(tx: Tx): Promise<Figures['deliveries']> {
  return one(
    tx,
    `select d.due, d.oldest as "oldestSeconds", f.failed
     from (select count(*)::int as due, coalesce(extract(epoch from now() - min(next_at)), 0)::float8 as oldest
           from deliveries where state = 'pending' and next_at <= now()) d,
          (select count(*)::int as failed from deliveries
           where state = 'failed' and created_at > now() - interval '1 day') f`,
  );
}

/** An event that committed late, below a number already sealed, shows when it is sealed, not here: age is what counts. */
async function readAuditFigures(tx: Tx): Promise<Figures['audit']> {
  return one(
    tx,
    `select coalesce((select max(id) from audit), 0)::float8 as events,
       coalesce((select max(leaf_index) + 1 from audit_leaves), 0)::float8 as leaves,
       coalesce((select extract(epoch from now() - at) from audit
         where id > coalesce((select max(event_id) from audit_leaves), 0) order by id limit 1), 0)::float8
         as "unsealedSeconds"`,
  );
}

async function readCanaryFigures(tx: Tx): Promise<Figures['canary']> {
  return one(
    tx,
    `select (select at from audit where action = 'canary.passed' order by id desc limit 1) as "passedAt",
       (select convert_from(canonical, 'UTF8')::jsonb -> 'detail' from (
          (select id, canonical from audit where action = 'canary.passed' order by id desc limit 1)
          union all
          (select id, canonical from audit where action = 'canary.failed' order by id desc limit 1)) runs
        order by id desc limit 1) as detail`,
  );
}

async function one<T extends object>(tx: Tx, sql: string): Promise<T> {
  const [row] = await tx.rows<T>(sql);
  return row!;
}
