import type { Tx } from './database.js';

/** A sealed audit entry: what notices are made of. */
export interface SealedEvent {
  leafIndex: number;
  eventId: string;
  canonical: Buffer;
}

/** Made once per organization, event and type. */
export interface NewNotice {
  id: string;
  organizationId: string;
  type: string;
  subject: string;
  at: Date;
  /** null: a test. */
  eventId: string | null;
  payload: Buffer;
}

export interface NewDelivery {
  id: string;
  noticeId: string;
  organizationId: string;
  /** One of the two. */
  webhookId: string | null;
  subscriptionId: string | null;
}

/** Who listens to what. */
export interface Listener {
  id: string;
  kind: 'webhook' | 'mail';
  organizationId: string;
  events: string[];
  /** Number of the audit entry that made it: it is told of what comes after. */
  since: string;
}

/** The next leaf to make notices of, locked until the end of the transaction; undefined while another makes them. */
export async function lockNoticeCursor(tx: Tx): Promise<number | undefined> {
  const [row] = await tx.rows<{ leafIndex: number }>(
    `select leaf_index::float8 as "leafIndex" from notice_cursor where id = 1 for update skip locked`,
  );
  return row?.leafIndex;
}

export async function moveNoticeCursor(tx: Tx, leafIndex: number): Promise<void> {
  await tx.run(`update notice_cursor set leaf_index = $1 where id = 1`, [leafIndex]);
}

/** In the order of the tree, from leaf `from` on. */
export async function sealedEvents(tx: Tx, from: number, limit: number): Promise<SealedEvent[]> {
  return tx.rows<SealedEvent>(
    `select l.leaf_index::float8 as "leafIndex", l.event_id::text as "eventId", a.canonical
     from audit_leaves l join audit a on a.id = l.event_id
     where l.leaf_index >= $1 and l.leaf_index < $1 + $2 order by l.leaf_index`,
    [from, limit],
  );
}

/** How many leaves there are. */
export async function sealedSize(tx: Tx): Promise<number> {
  const [row] = await tx.rows<{ size: number }>(
    `select coalesce(max(leaf_index) + 1, 0)::float8 as size from audit_leaves`,
  );
  return row!.size;
}

export async function listenersOf(tx: Tx, organizationIds: readonly string[]): Promise<Listener[]> {
  return tx.rows<Listener>(
    `select id, 'webhook' as kind, organization_id as "organizationId", events,
       (select coalesce(max(a.id), 0) from audit a
        where a.subject = 'webhook:' || webhooks.id and a.action = 'webhook.created')::text as since
     from webhooks where organization_id = any($1::uuid[]) and state = 'active'
     union all
     select id, 'mail', organization_id, events,
       (select coalesce(max(a.id), 0) from audit a
        where a.subject = 'mailSubscription:' || mail_subscriptions.id and a.action = 'mailSubscription.created')::text
     from mail_subscriptions where organization_id = any($1::uuid[]) and state = 'active'`,
    [organizationIds],
  );
}

const BLOCK = 5000;

export async function insertNotices(tx: Tx, notices: readonly NewNotice[]): Promise<void> {
  for (let start = 0; start < notices.length; start += BLOCK) {
    const block = notices.slice(start, start + BLOCK);
    await tx.run(
      `insert into notices (id, organization_id, type, subject, at, event_id, payload)
       select id, organization_id, type, subject, at, nullif(event_id, '')::bigint, payload
       from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::bytea[])
         as n (id, organization_id, type, subject, at, event_id, payload)`,
      [
        block.map(({ id }) => id),
        block.map(({ organizationId }) => organizationId),
        block.map(({ type }) => type),
        block.map(({ subject }) => subject),
        block.map(({ at }) => at.toISOString()),
        block.map(({ eventId }) => eventId ?? ''),
        block.map(({ payload }) => payload),
      ],
    );
  }
}

export async function insertDeliveries(tx: Tx, deliveries: readonly NewDelivery[], at: Date): Promise<void> {
  for (let start = 0; start < deliveries.length; start += BLOCK) {
    const block = deliveries.slice(start, start + BLOCK);
    await tx.run(
      `insert into deliveries (id, notice_id, organization_id, webhook_id, subscription_id, next_at, created_at)
       select id, notice_id, organization_id, nullif(webhook_id, '')::uuid, nullif(subscription_id, '')::uuid, $6, $6
       from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])
         as d (id, notice_id, organization_id, webhook_id, subscription_id)`,
      [
        block.map(({ id }) => id),
        block.map(({ noticeId }) => noticeId),
        block.map(({ organizationId }) => organizationId),
        block.map(({ webhookId }) => webhookId ?? ''),
        block.map(({ subscriptionId }) => subscriptionId ?? ''),
        at,
      ],
    );
  }
}

const PURGE_BLOCK = 10_000;

/** Deliveries made before `before` go with their attempts, and notices that none is left of. Returns how many deliveries went. */
export async function purgeNotices(tx: Tx, before: Date): Promise<number> {
  const gone = await tx.run(
    `delete from deliveries where id in (select id from deliveries where created_at < $1 order by created_at limit $2)`,
    [before, PURGE_BLOCK],
  );
  await tx.run(
    `delete from notices where id in (
       select n.id from notices n where n.created_at < $1
         and not exists (select 1 from deliveries d where d.notice_id = n.id) limit $2)`,
    [before, PURGE_BLOCK],
  );
  return gone;
}
