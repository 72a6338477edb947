import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** One notice to one receiver. */
export interface Delivery {
  id: string;
  noticeId: string;
  type: string;
  subject: string;
  state: 'pending' | 'delivered' | 'failed';
  attempts: number;
  /** When it is tried next, or was tried last. */
  nextAt: Date;
  createdAt: Date;
}

/** Of the delivery log. */
export interface DeliveryAttempt {
  deliveryId: string;
  attempt: number;
  at: Date;
  durationMs: number;
  /** HTTP status, or the code of the mail server. */
  status: number | null;
  /** One word of a closed list. */
  error: string | null;
}

/** A delivery that one worker holds until its lease ends. */
export interface ClaimedWebhookDelivery {
  id: string;
  webhookId: string;
  organizationId: string;
  noticeId: string;
  payload: Buffer;
  attempts: number;
  url: string;
  sealedSecret: Buffer;
  sealedPrevious: Buffer | null;
  previousEndsAt: Date | null;
}

export interface ClaimedMailDelivery {
  id: string;
  noticeId: string;
  type: string;
  attempts: number;
}

/** What became of one try; written only where `attempts` still is what it was when it was claimed. */
export interface DeliveryOutcome {
  id: string;
  attempts: number;
  state: Delivery['state'];
  nextAt: Date;
}

/**
 * Due deliveries to active webhooks, at most `perWebhook` of each and none to those in `except`; nobody else gets them
 * before `lease`.
 */
export async function claimWebhookDeliveries(
  tx: Tx,
  claim: { at: Date; lease: Date; perWebhook: number; limit: number; except: readonly string[] },
): Promise<ClaimedWebhookDelivery[]> {
  return tx.rows<ClaimedWebhookDelivery>(
    `with due as materialized (
       select d.id from webhooks w cross join lateral (
         select id from deliveries
         where webhook_id = w.id and state = 'pending' and next_at <= $1 order by next_at, id limit $3
         for update skip locked
       ) d where w.state = 'active' and not (w.id = any($5::uuid[])) limit $4
     )
     update deliveries d set next_at = $2 from due, webhooks w, notices n
     where d.id = due.id and w.id = d.webhook_id and n.id = d.notice_id
     returning d.id, d.webhook_id as "webhookId", d.organization_id as "organizationId", d.notice_id as "noticeId",
       n.payload, d.attempts, w.url, w.sealed_secret as "sealedSecret", w.sealed_previous as "sealedPrevious",
       w.previous_ends_at as "previousEndsAt"`,
    [claim.at, claim.lease, claim.perWebhook, claim.limit, claim.except],
  );
}

/** Every due delivery of the subscription, `limit` at most; nobody else gets them before `lease`. */
export async function claimMailDeliveries(
  tx: Tx,
  claim: { subscriptionId: string; at: Date; lease: Date; limit: number },
): Promise<ClaimedMailDelivery[]> {
  return tx.rows<ClaimedMailDelivery>(
    `with due as materialized (
       select id from deliveries where subscription_id = $1 and state = 'pending' and next_at <= $2
       order by next_at, id limit $4 for update skip locked
     )
     update deliveries d set next_at = $3 from due, notices n where d.id = due.id and n.id = d.notice_id
     returning d.id, d.notice_id as "noticeId", n.type, d.attempts`,
    [claim.subscriptionId, claim.at, claim.lease, claim.limit],
  );
}

export async function findPayloads(tx: Tx, noticeIds: readonly string[]): Promise<{ id: string; payload: Buffer }[]> {
  return tx.rows(`select id, payload from notices where id = any($1::uuid[])`, [noticeIds]);
}

/**
 * Writes the outcomes and the delivery log in one statement. A delivery that another worker took over meanwhile, and
 * finished first, is left alone. Returns how many were written.
 */
export async function recordOutcomes(
  tx: Tx,
  outcomes: readonly DeliveryOutcome[],
  tried: Pick<DeliveryAttempt, 'at' | 'durationMs' | 'status' | 'error'>,
): Promise<number> {
  const [row] = await tx.rows<{ count: number }>(
    `with outcome as (
       select * from unnest($1::uuid[], $2::text[]::integer[], $3::text[], $4::timestamptz[])
         as o (id, attempts, state, next_at)
     ), written as (
       update deliveries d set state = o.state, attempts = o.attempts + 1, next_at = o.next_at from outcome o
       where d.id = o.id and d.attempts = o.attempts and d.state = 'pending'
       returning d.id, d.attempts, d.organization_id
     ), logged as (
       insert into delivery_attempts (delivery_id, attempt, organization_id, at, duration_ms, status, error)
       select id, attempts, organization_id, $5, $6, $7, $8 from written returning 1
     ) select count(*)::int as count from logged`,
    [
      outcomes.map(({ id }) => id),
      outcomes.map(({ attempts }) => String(attempts)),
      outcomes.map(({ state }) => state),
      outcomes.map(({ nextAt }) => nextAt.toISOString()),
      tried.at,
      tried.durationMs,
      tried.status,
      tried.error,
    ],
  );
  return row!.count;
}

/** What still waits for a webhook or a subscription that is not there any more. Returns how many. */
export async function failPending(tx: Tx, column: 'webhook' | 'subscription', id: string): Promise<number> {
  const of = column === 'webhook' ? 'webhook_id' : 'subscription_id';
  return tx.run(`update deliveries set state = 'failed' where ${of} = $1 and state = 'pending'`, [id]);
}

const LISTED = `d.id, d.notice_id as "noticeId", n.type, n.subject, d.state, d.attempts, d.next_at as "nextAt",
  d.created_at as "createdAt"`;

/** Newest first. */
export async function listDeliveries(tx: Tx, webhookId: string, page: PageRequest): Promise<Page<Delivery>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<Delivery>(
    `select ${LISTED} from deliveries d join notices n on n.id = d.notice_id
     where d.webhook_id = $1 and ($2::uuid is null or d.id < $2::uuid) order by d.id desc limit $3`,
    [webhookId, before ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

export async function findDelivery(tx: Tx, webhookId: string, id: string): Promise<Delivery | undefined> {
  const [row] = await tx.rows<Delivery>(
    `select ${LISTED} from deliveries d join notices n on n.id = d.notice_id where d.webhook_id = $1 and d.id = $2`,
    [webhookId, id],
  );
  return row;
}

/** In the order in which they were made. */
export async function listAttempts(tx: Tx, deliveryIds: readonly string[]): Promise<DeliveryAttempt[]> {
  return tx.rows<DeliveryAttempt>(
    `select delivery_id as "deliveryId", attempt, at, duration_ms as "durationMs", status, error from delivery_attempts
     where delivery_id = any($1::uuid[]) order by delivery_id, attempt`,
    [deliveryIds],
  );
}

/** Conditional: true when the delivery had ended, one way or the other. */
export async function repeatDelivery(tx: Tx, webhookId: string, id: string, at: Date): Promise<boolean> {
  const sql = `update deliveries set state = 'pending', next_at = $3 where id = $2 and webhook_id = $1 and state <> 'pending'`;
  return (await tx.run(sql, [webhookId, id, at])) === 1;
}
