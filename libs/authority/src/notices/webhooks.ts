import { appendAudit, type AuditAction, type AuditEntry } from '#audit';
import { addSeconds, AuthorityError } from '#kernel';
import {
  countWebhooks,
  failPending,
  findDelivery,
  insertDeliveries,
  insertNotices,
  insertWebhook,
  isId,
  lockWebhook,
  newId,
  repeatDelivery,
  updateWebhook,
  updateWebhookSecrets,
  type Delivery,
  type Tx,
  type Webhook,
  type WebhookSecrets,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';
import { makeNotice } from './dispatch.js';
import { mintWebhookSecret, sealWebhookSecret } from './webhook-secret.js';

const MAX_WEBHOOKS = 20;
const OVERLAP_SECONDS = 86_400;

/** With the secret, which is shown once. */
export interface WebhookWithSecret {
  webhook: Webhook;
  secret: string;
}

/**
 * Makes a webhook of the caller's organization. `url` must have passed `WebhookGuard.check`, before: a name is not looked
 * up while a transaction waits. Throws `conflict` when the organization has 20.
 */
export async function createWebhook(
  a: AuthorityContext,
  actor: Actor,
  request: { url: URL; description: string; events: readonly string[] },
): Promise<WebhookWithSecret> {
  const work = async (tx: Tx): Promise<WebhookWithSecret> => {
    const { organizationId } = actor;
    if ((await countWebhooks(tx, organizationId)) >= MAX_WEBHOOKS) {
      throw new AuthorityError('conflict', `an organization has at most ${MAX_WEBHOOKS} webhooks`);
    }
    const owner = { id: newId(a.clock), organizationId };
    const secret = mintWebhookSecret();
    const webhook = await insertWebhook(tx, {
      ...owner,
      url: request.url.href,
      description: request.description,
      events: [...request.events],
      sealedSecret: sealWebhookSecret(a, owner, secret.bytes),
    });
    await audit(tx, a, actor, 'webhook.created', webhook, factsOf(webhook));
    return { webhook, secret: secret.text };
  };
  return a.database.transaction(work, scopeOf(a, actor));
}

/** Changes what is named. A disabled one is no longer sent to, and what waited for it has failed. */
export async function changeWebhook(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: {
    url?: URL | undefined;
    description?: string | undefined;
    events?: readonly string[] | undefined;
    state?: 'active' | 'disabled' | undefined;
  },
): Promise<Webhook> {
  return withWebhook(a, actor, id, async (tx, old) => {
    const changed = await updateWebhook(tx, id, {
      url: request.url?.href ?? old.url,
      description: request.description ?? old.description,
      events: request.events === undefined ? old.events : [...request.events],
      state: request.state ?? old.state,
    });
    if (changed.state === 'disabled') await failPending(tx, 'webhook', id);
    await audit(tx, a, actor, 'webhook.changed', changed, { ...factsOf(changed), state: changed.state });
    return changed;
  });
}

export async function removeWebhook(a: AuthorityContext, actor: Actor, id: string): Promise<Webhook> {
  return withWebhook(a, actor, id, async (tx, old) => {
    const removed = await updateWebhook(tx, id, { ...old, state: 'removed' });
    await failPending(tx, 'webhook', id);
    await audit(tx, a, actor, 'webhook.removed', removed, {});
    return removed;
  });
}

/** A new secret. For 24 hours notices are signed with the one before as well. */
export async function rotateWebhook(a: AuthorityContext, actor: Actor, id: string): Promise<WebhookWithSecret> {
  return withWebhook(a, actor, id, async (tx, old) => {
    const secret = mintWebhookSecret();
    const previousEndsAt = addSeconds(a.clock.now(), OVERLAP_SECONDS);
    const webhook = await updateWebhookSecrets(tx, id, {
      sealedSecret: sealWebhookSecret(a, old, secret.bytes),
      sealedPrevious: old.sealedSecret,
      previousEndsAt,
    });
    await audit(tx, a, actor, 'webhook.rotated', webhook, { previousEndsAt: previousEndsAt.toISOString() });
    return { webhook, secret: secret.text };
  });
}

/** Sends a `webhook.test` the way of every notice, whatever the webhook listens to. */
export async function testWebhook(a: AuthorityContext, actor: Actor, id: string): Promise<Delivery> {
  return withWebhook(a, actor, id, async (tx, { organizationId, state }) => {
    if (state !== 'active') throw notActive(state);
    const at = a.clock.now();
    const entry = { at, subject: `webhook:${id}`, detail: {} };
    const notice = makeNotice(a, { eventId: null, entry, type: 'webhook.test', organizationId });
    const delivery = { id: newId(a.clock), noticeId: notice.id, organizationId, webhookId: id, subscriptionId: null };
    await insertNotices(tx, [notice]);
    await insertDeliveries(tx, [delivery], at);
    await audit(tx, a, actor, 'webhook.tested', { id, organizationId }, {});
    const { type, subject } = notice;
    return { ...delivery, type, subject, state: 'pending', attempts: 0, nextAt: at, createdAt: at };
  });
}

/** Sends a notice once more, under the id it had. Throws `conflict` while it still waits for its next try. */
export async function replayDelivery(
  a: AuthorityContext,
  actor: Actor,
  webhookId: string,
  id: string,
): Promise<Delivery> {
  return withWebhook(a, actor, webhookId, async (tx, webhook) => {
    if (!isId(id) || !(await findDelivery(tx, webhookId, id))) throw notFound('delivery');
    if (webhook.state !== 'active') throw notActive(webhook.state);
    if (!(await repeatDelivery(tx, webhookId, id, a.clock.now()))) {
      throw new AuthorityError('conflict', 'the delivery has not ended yet; it is tried again by itself');
    }
    await audit(tx, a, actor, 'delivery.replayed', webhook, { deliveryId: id });
    const repeated = await findDelivery(tx, webhookId, id);
    if (!repeated) throw notFound('delivery');
    return repeated;
  });
}

async function withWebhook<T>(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  work: (tx: Tx, webhook: Webhook & WebhookSecrets) => Promise<T>,
): Promise<T> {
  return a.database.transaction(
    async (tx) => {
      const webhook = isId(id) ? await lockWebhook(tx, id) : undefined;
      if (!webhook) throw notFound('webhook');
      return work(tx, webhook);
    },
    scopeOf(a, actor),
  );
}

function notActive(state: Webhook['state']): AuthorityError {
  return new AuthorityError('conflict', `the webhook is ${state}; make it active first`);
}

/** Of the URL only its origin: paths and queries of receivers are secrets more often than not. */
function factsOf({ url, events }: Webhook): NonNullable<AuditEntry['detail']> {
  return { url: new URL(url).origin, events: [...events] };
}

async function audit(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock'>,
  actor: Actor,
  action: AuditAction,
  of: Pick<Webhook, 'id' | 'organizationId'>,
  detail: NonNullable<AuditEntry['detail']>,
): Promise<void> {
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action,
    subject: `webhook:${of.id}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail,
    ownerOrgId: of.organizationId,
    issuerOrgId: of.organizationId,
  });
}
