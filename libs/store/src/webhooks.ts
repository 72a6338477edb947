import type { Tx } from './database.js';
import { decodeCursor, toPage, type Page, type PageRequest } from './page.js';

/** Where notices are sent by HTTP. A removed one is kept for its delivery log and shown nowhere. */
export interface Webhook {
  id: string;
  organizationId: string;
  url: string;
  description: string;
  /** Event types, `certificate.*` or `*`. */
  events: string[];
  state: 'active' | 'disabled' | 'removed';
  /** Until when notices are signed with the secret before as well. */
  previousEndsAt: Date | null;
  createdAt: Date;
}

export interface WebhookSecrets {
  sealedSecret: Buffer;
  sealedPrevious: Buffer | null;
}

const LISTED = `id, organization_id as "organizationId", url, description, events, state,
  previous_ends_at as "previousEndsAt", created_at as "createdAt"`;
const SECRETS = `sealed_secret as "sealedSecret", sealed_previous as "sealedPrevious"`;

export async function insertWebhook(
  tx: Tx,
  row: Pick<Webhook, 'id' | 'organizationId' | 'url' | 'description' | 'events'> & Pick<WebhookSecrets, 'sealedSecret'>,
): Promise<Webhook> {
  const [made] = await tx.rows<Webhook>(
    `insert into webhooks (id, organization_id, url, description, events, sealed_secret) values ($1, $2, $3, $4, $5, $6)
     returning ${LISTED}`,
    [row.id, row.organizationId, row.url, row.description, row.events, row.sealedSecret],
  );
  return made!;
}

/** How many an organization has. Whoever counts holds back the others until the end of its transaction. */
export async function countWebhooks(tx: Tx, organizationId: string): Promise<number> {
  await tx.rows(`select pg_advisory_xact_lock(hashtextextended($1, 2))`, [organizationId]);
  const [row] = await tx.rows<{ count: number }>(
    `select count(*)::int as count from webhooks where organization_id = $1 and state <> 'removed'`,
    [organizationId],
  );
  return row!.count;
}

export async function findWebhook(tx: Tx, id: string): Promise<Webhook | undefined> {
  const [row] = await tx.rows<Webhook>(`select ${LISTED} from webhooks where id = $1 and state <> 'removed'`, [id]);
  return row;
}

/** With its row locked, so that two changes follow each other. */
export async function lockWebhook(tx: Tx, id: string): Promise<(Webhook & WebhookSecrets) | undefined> {
  const [row] = await tx.rows<Webhook & WebhookSecrets>(
    `select ${LISTED}, ${SECRETS} from webhooks where id = $1 and state <> 'removed' for no key update`,
    [id],
  );
  return row;
}

/** Newest first. */
export async function listWebhooks(tx: Tx, page: PageRequest): Promise<Page<Webhook>> {
  const [before] = page.cursor === undefined ? [null] : decodeCursor(page.cursor, ['uuid']);
  const rows = await tx.rows<Webhook>(
    `select ${LISTED} from webhooks where ($1::uuid is null or id < $1::uuid) and state <> 'removed'
     order by id desc limit $2`,
    [before ?? null, page.limit + 1],
  );
  return toPage(rows, page.limit, (row) => [row.id]);
}

export async function updateWebhook(
  tx: Tx,
  id: string,
  to: Pick<Webhook, 'url' | 'description' | 'events' | 'state'>,
): Promise<Webhook> {
  const [row] = await tx.rows<Webhook>(
    `update webhooks set url = $2, description = $3, events = $4, state = $5 where id = $1 returning ${LISTED}`,
    [id, to.url, to.description, to.events, to.state],
  );
  return row!;
}

export async function updateWebhookSecrets(
  tx: Tx,
  id: string,
  to: WebhookSecrets & Pick<Webhook, 'previousEndsAt'>,
): Promise<Webhook> {
  const [row] = await tx.rows<Webhook>(
    `update webhooks set sealed_secret = $2, sealed_previous = $3, previous_ends_at = $4 where id = $1 returning ${LISTED}`,
    [id, to.sealedSecret, to.sealedPrevious, to.previousEndsAt],
  );
  return row!;
}

/** True for the one caller that found it active. */
export async function disableWebhook(tx: Tx, id: string): Promise<boolean> {
  return (await tx.run(`update webhooks set state = 'disabled' where id = $1 and state = 'active'`, [id])) === 1;
}
