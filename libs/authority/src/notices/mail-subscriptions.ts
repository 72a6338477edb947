import { appendAudit, type AuditAction, type AuditEntry } from '#audit';
import { AuthorityError } from '#kernel';
import {
  countMailSubscriptions,
  failPending,
  insertMailSubscription,
  isId,
  lockMailSubscription,
  newId,
  updateMailSubscription,
  type Digest,
  type MailSubscription,
  type Tx,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';

const MAX_SUBSCRIPTIONS = 50;
const MAX_ADDRESS = 254;
const MAX_LOCAL_PART = 64;

/** One mailbox and nothing else: no quoting, no list, no name, no line break, no other script (RFC 5321 section 4.1.2). */
const ADDRESS =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}$/;

export function isMailAddress(text: string): boolean {
  return text.length <= MAX_ADDRESS && text.lastIndexOf('@') <= MAX_LOCAL_PART && ADDRESS.test(text);
}

/** Throws `invalid` for what is no plain address, `conflict` when the organization has 50. */
export async function createMailSubscription(
  a: AuthorityContext,
  actor: Actor,
  request: { address: string; events: readonly string[]; digest: Digest },
): Promise<MailSubscription> {
  if (!isMailAddress(request.address)) {
    throw new AuthorityError('invalid', 'address: one plain e-mail address', { member: 'address' });
  }
  const work = async (tx: Tx): Promise<MailSubscription> => {
    const { organizationId } = actor;
    if ((await countMailSubscriptions(tx, organizationId)) >= MAX_SUBSCRIPTIONS) {
      throw new AuthorityError('conflict', `an organization has at most ${MAX_SUBSCRIPTIONS} mail subscriptions`);
    }
    const made = await insertMailSubscription(tx, {
      id: newId(a.clock),
      organizationId,
      address: request.address,
      events: [...request.events],
      digest: request.digest,
    });
    await audit(tx, a, actor, 'mailSubscription.created', made);
    return made;
  };
  return a.database.transaction(work, scopeOf(a, actor));
}

export async function changeMailSubscription(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { events?: readonly string[] | undefined; digest?: Digest | undefined },
): Promise<MailSubscription> {
  return withSubscription(a, actor, id, async (tx, old) => {
    const changed = await updateMailSubscription(tx, id, {
      events: request.events === undefined ? old.events : [...request.events],
      digest: request.digest ?? old.digest,
      state: 'active',
    });
    await audit(tx, a, actor, 'mailSubscription.changed', changed);
    return changed;
  });
}

export async function removeMailSubscription(a: AuthorityContext, actor: Actor, id: string): Promise<MailSubscription> {
  return withSubscription(a, actor, id, async (tx, old) => {
    const removed = await updateMailSubscription(tx, id, { ...old, state: 'removed' });
    await failPending(tx, 'subscription', id);
    await audit(tx, a, actor, 'mailSubscription.removed', removed);
    return removed;
  });
}

async function withSubscription<T>(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  work: (tx: Tx, subscription: MailSubscription) => Promise<T>,
): Promise<T> {
  return a.database.transaction(
    async (tx) => {
      const subscription = isId(id) ? await lockMailSubscription(tx, id) : undefined;
      if (!subscription) throw notFound('mail subscription');
      return work(tx, subscription);
    },
    scopeOf(a, actor),
  );
}

async function audit(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock'>,
  actor: Actor,
  action: AuditAction,
  { id, organizationId, events, digest }: MailSubscription,
): Promise<void> {
  const detail: NonNullable<AuditEntry['detail']> = { events: [...events], digest };
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action,
    subject: `mailSubscription:${id}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail,
    ownerOrgId: organizationId,
    issuerOrgId: organizationId,
  });
}
