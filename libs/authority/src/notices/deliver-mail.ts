import { addSeconds } from '#kernel';
import {
  claimMailDeliveries,
  findPayloads,
  noteMailSent,
  recordOutcomes,
  takeDueSubscription,
  type ClaimedMailDelivery,
  type MailSubscription,
} from '#store';
import type { AuthorityContext } from '../context.js';
import { composeMail, MAX_LINES, type MailText } from './mail-text.js';
import type { Mailer } from './mailer.js';
import { afterFailure } from './retry-schedule.js';

/** Longer than a try can take: ten seconds to connect, twenty for each answer of the server. */
const LEASE_SECONDS = 180;
/** More than that become a second mail. */
const BLOCK = 50_000;

interface ClaimedMail {
  subscription: MailSubscription;
  deliveries: ClaimedMailDelivery[];
  mail: MailText;
}

/**
 * Sends what is due by mail until nothing is: one mail per subscription tells of everything that waits for it. Returns how
 * many mails were tried. Cut off between the mail and its record, it is sent again when the lease ends.
 */
export async function deliverMail(
  a: Pick<AuthorityContext, 'database' | 'clock' | 'log'>,
  mailer: Pick<Mailer, 'send'>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<number> {
  for (let tried = 0; ; tried++) {
    const claimed = signal?.aborted === true ? undefined : await claim(a);
    if (claimed === undefined) return tried;
    await attempt(a, mailer, claimed);
  }
}

async function claim(a: Pick<AuthorityContext, 'database' | 'clock'>): Promise<ClaimedMail | undefined> {
  const at = a.clock.now();
  return a.database.transaction(async (tx) => {
    const subscription = await takeDueSubscription(tx, at);
    if (subscription === undefined) return undefined;
    const lease = addSeconds(at, LEASE_SECONDS);
    const deliveries = await claimMailDeliveries(tx, { subscriptionId: subscription.id, at, lease, limit: BLOCK });
    const shown = deliveries.toSorted(byTypeAndAge).slice(0, MAX_LINES);
    const payloads = await findPayloads(
      tx,
      shown.map(({ noticeId }) => noticeId),
    );
    const payloadOf = new Map(payloads.map(({ id, payload }) => [id, payload]));
    const items = shown.flatMap(({ type, noticeId }) => {
      const payload = payloadOf.get(noticeId);
      return payload === undefined ? [] : [{ type, payload }];
    });
    const counts = new Map<string, number>();
    for (const { type } of deliveries) counts.set(type, (counts.get(type) ?? 0) + 1);
    return { subscription, deliveries, mail: composeMail(counts, items, subscription.address) };
  });
}

/** Ids of notices sort by age. */
function byTypeAndAge(one: ClaimedMailDelivery, other: ClaimedMailDelivery): number {
  if (one.type !== other.type) return one.type < other.type ? -1 : 1;
  return one.noticeId < other.noticeId ? -1 : 1;
}

async function attempt(
  a: Pick<AuthorityContext, 'database' | 'clock' | 'log'>,
  mailer: Pick<Mailer, 'send'>,
  { subscription, deliveries, mail }: ClaimedMail,
): Promise<void> {
  const at = a.clock.now();
  const begin = a.clock.monotonicMs();
  const result = await mailer.send(subscription.address, mail);
  const durationMs = Math.round(a.clock.monotonicMs() - begin);
  const now = a.clock.now();
  const outcomes = deliveries.map(({ id, attempts }) => ({
    id,
    attempts,
    ...(result.error === undefined ? { state: 'delivered' as const, nextAt: now } : afterFailure(now, attempts)),
  }));
  const status = result.error === undefined ? null : (result.status ?? null);
  await a.database.transaction(async (tx) => {
    await recordOutcomes(tx, outcomes, { at, durationMs, status, error: result.error ?? null });
    if (result.error === undefined) await noteMailSent(tx, subscription.id, now);
  });
  if (result.error !== undefined) {
    a.log.warn({ subscriptionId: subscription.id, error: result.error, status }, 'a mail could not be sent');
  }
}
