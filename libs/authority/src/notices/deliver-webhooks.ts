import { appendAudit } from '#audit';
import { addSeconds } from '#kernel';
import {
  claimWebhookDeliveries,
  disableWebhook,
  failPending,
  recordOutcomes,
  type ClaimedWebhookDelivery,
  type DeliveryOutcome,
} from '#store';
import { systemActor, type AuthorityContext } from '../context.js';
import { afterFailure } from './retry-schedule.js';
import type { SendResult, WebhookSender } from './send-webhook.js';
import { signatureHeaders, signingSecrets } from './webhook-secret.js';

/** So long a claimed delivery is nobody else's: three times what a try may take. */
const LEASE_SECONDS = 30;
const PER_WEBHOOK = 4;
const AT_ONCE = 64;
/** What becomes due meanwhile is looked for so often, also while a slow receiver is waited for. */
const LOOK_MS = 250;
const GONE = 410;

export interface DeliveryRun {
  /** Stops claiming; what is under way is finished. */
  signal?: AbortSignal;
}

/**
 * Sends what is due until nothing is: at most 4 at a time to one webhook and 64 in all, so that a slow receiver holds up
 * only itself. Returns how many tries were made. Cut off between the try and its record, the notice is sent again under
 * the same id when the lease ends.
 */
export async function deliverWebhooks(
  a: AuthorityContext,
  sender: Pick<WebhookSender, 'send'>,
  { signal }: DeliveryRun = {},
): Promise<number> {
  const running = new Map<string, { webhookId: string; done: Promise<void> }>();
  let tries = 0;
  while (signal?.aborted !== true) {
    const busy = [...new Set([...running.values()].map(({ webhookId }) => webhookId))];
    const claimed = await claim(a, AT_ONCE - running.size, busy);
    for (const one of claimed) {
      tries++;
      const done = attempt(a, sender, one)
        // The lease brings it back.
        .catch((error: unknown) => a.log.error({ err: error, deliveryId: one.id }, 'a delivery could not be recorded'))
        .finally(() => running.delete(one.id));
      running.set(one.id, { webhookId: one.webhookId, done });
    }
    // Nothing is due only if nothing was left out of the question.
    if (claimed.length === 0 && busy.length === 0) break;
    if (running.size > 0) await firstOf([...running.values()].map(({ done }) => done));
  }
  await Promise.all([...running.values()].map(({ done }) => done));
  return tries;
}

async function firstOf(running: readonly Promise<void>[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, LOOK_MS);
  await Promise.race([...running, promise]);
  clearTimeout(timer);
}

async function claim(a: AuthorityContext, limit: number, busy: readonly string[]): Promise<ClaimedWebhookDelivery[]> {
  if (limit <= 0) return [];
  const at = a.clock.now();
  const lease = addSeconds(at, LEASE_SECONDS);
  return a.database.transaction((tx) =>
    claimWebhookDeliveries(tx, { at, lease, perWebhook: PER_WEBHOOK, limit, except: busy }),
  );
}

async function attempt(
  a: AuthorityContext,
  sender: Pick<WebhookSender, 'send'>,
  one: ClaimedWebhookDelivery,
): Promise<void> {
  const at = a.clock.now();
  const owner = { ...one, id: one.webhookId };
  const headers = signatureHeaders(signingSecrets(a, owner, at), one.noticeId, at, one.payload);
  const result = await sender.send({ url: one.url, headers, body: one.payload });
  await record(a, one, at, result);
}

async function record(a: AuthorityContext, one: ClaimedWebhookDelivery, at: Date, result: SendResult): Promise<void> {
  const { error, status = null, durationMs } = result;
  const gone = status === GONE;
  const now = a.clock.now();
  const outcome: Pick<DeliveryOutcome, 'state' | 'nextAt'> =
    error === undefined
      ? { state: 'delivered', nextAt: now }
      : gone
        ? { state: 'failed', nextAt: now }
        : afterFailure(now, one.attempts);
  await a.database.transaction(async (tx) => {
    const tried = { at, durationMs, status, error: error ?? null };
    const written = await recordOutcomes(tx, [{ id: one.id, attempts: one.attempts, ...outcome }], tried);
    if (!gone || written === 0 || !(await disableWebhook(tx, one.webhookId))) return;
    await failPending(tx, 'webhook', one.webhookId);
    const actor = systemActor(a, 'notices');
    await appendAudit(tx, {
      at: now,
      actor: actor.id,
      action: 'webhook.disabled',
      subject: `webhook:${one.webhookId}`,
      outcome: 'success',
      requestId: actor.requestId,
      detail: { reason: 'gone', url: new URL(one.url).origin },
      ownerOrgId: one.organizationId,
      issuerOrgId: one.organizationId,
    });
  });
}
