import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

export type Digest = 'immediate' | 'hourly' | 'daily';

/** Who gets notices by mail, and how many mails that makes. */
export interface MailSubscription {
  id: string;
  organizationId: string;
  address: string;
  /** Event types, `certificate.*` or `*`. */
  events: string[];
  digest: Digest;
  lastSentAt: Date | null;
  state: 'active' | 'removed';
  createdAt: Date;
}

const LISTED = `id, organization_id as "organizationId", address, events, digest, last_sent_at as "lastSentAt", state,
  created_at as "createdAt"`;

export async function insertMailSubscription(
  tx: Tx,
  row: Pick<MailSubscription, 'id' | 'organizationId' | 'address' | 'events' | 'digest'>,
): Promise<MailSubscription> {
  const [made] = await tx.rows<MailSubscription>(
    `insert into mail_subscriptions (id, organization_id, address, events, digest) values ($1, $2, $3, $4, $5)
     returning ${LISTED}`,
    [row.id, row.organizationId, row.address, row.events, row.digest],
  );
  return made!;
}

/** How many an organization has. Whoever counts holds back the others until the end of its transaction. */
export async function countMailSubscriptions(tx: Tx, organizationId: string): Promise<number> {
  await tx.rows(`select pg_advisory_xact_lock(hashtextextended($1, 3))`, [organizationId]);
  const [row] = await tx.rows<{ count: number }>(
    `select count(*)::int as count from mail_subscriptions where organization_id = $1 and state = 'active'`,
    [organizationId],
  );
  return row!.count;
}

export async function findMailSubscription(tx: Tx, id: string): Promise<MailSubscription | undefined> {
  const [row] = await tx.rows<MailSubscription>(
    `select ${LISTED} from mail_subscriptions where id = $1 and state = 'active'`,
    [id],
  );
  return row;
}

/** With its row locked, so that two changes follow each other. */
export async function lockMailSubscription(tx: Tx, id: string): Promise<MailSubscription | undefined> {
  const [row] = await tx.rows<MailSubscription>(
    `select ${LISTED} from mail_subscriptions where id = $1 and state = 'active' for no key update`,
    [id],
  );
  return row;
}

/** Newest first. */
export async function listMailSubscriptions(tx: Tx, page: PageRequest): Promise<Page<MailSubscription>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<MailSubscription>(
    `select ${LISTED} from mail_subscriptions where ($1::uuid is null or id < $1::uuid) and state = 'active'
     order by id desc limit $2`,
    [before ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

export async function updateMailSubscription(
  tx: Tx,
  id: string,
  to: Pick<MailSubscription, 'events' | 'digest' | 'state'>,
): Promise<MailSubscription> {
  const [row] = await tx.rows<MailSubscription>(
    `update mail_subscriptions set events = $2, digest = $3, state = $4 where id = $1 returning ${LISTED}`,
    [id, to.events, to.digest, to.state],
  );
  return row!;
}

/**
 * A subscription with something due whose digest has waited long enough, its row locked; others skip it. Undefined when
 * there is none.
 */
export async function takeDueSubscription(tx: Tx, at: Date): Promise<MailSubscription | undefined> {
  const [row] = await tx.rows<MailSubscription>(
    `select ${LISTED} from mail_subscriptions s
     where s.state = 'active'
       and coalesce(s.last_sent_at, s.created_at)
           + case s.digest when 'daily' then interval '1 day' when 'hourly' then interval '1 hour' else interval '0' end <= $1
       and exists (select 1 from deliveries d where d.subscription_id = s.id and d.state = 'pending' and d.next_at <= $1)
     order by s.last_sent_at nulls first limit 1 for no key update skip locked`,
    [at],
  );
  return row;
}

export async function noteMailSent(tx: Tx, id: string, at: Date): Promise<void> {
  await tx.run(`update mail_subscriptions set last_sent_at = $2 where id = $1`, [id, at]);
}
