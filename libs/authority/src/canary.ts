import { appendAudit } from '#audit';
import { findVendorNamed, insertOrganization, newId } from '#store';
import { systemActor, type AuthorityContext } from './context.js';
import { writeToken } from './operator-access.js';

/** The vendor whose only app is the instance's own trial piece. */
export const CANARY_VENDOR = 'Touchmark inner canary';

type Maker = Pick<AuthorityContext, 'database' | 'clock' | 'macKey' | 'pepper' | 'plane' | 'authorityId'>;

/** The vendor, made once. */
export async function ensureCanaryVendor(a: Omit<Maker, 'macKey' | 'pepper'>): Promise<void> {
  const actor = systemActor(a, 'init');
  await a.database.transaction(async (tx) => {
    if ((await findVendorNamed(tx, CANARY_VENDOR)) !== undefined) return;
    const made = await insertOrganization(tx, {
      id: newId(a.clock),
      kind: 'vendor',
      name: CANARY_VENDOR,
      country: null,
    });
    await appendAudit(tx, {
      at: a.clock.now(),
      actor: actor.id,
      action: 'organization.created',
      subject: `organization:${made.id}`,
      outcome: 'success',
      requestId: actor.requestId,
      detail: { kind: made.kind },
      ownerOrgId: made.id,
      issuerOrgId: a.authorityId,
    });
  });
}

/** What the canary comes with: an officer of the authority, and no more. The text is returned once and stored nowhere. */
export async function issueCanaryToken(a: Maker): Promise<{ id: string; text: string }> {
  const facts = {
    organizationId: a.authorityId,
    name: 'inner canary',
    kind: 'machine' as const,
    personId: null,
    createdBy: a.authorityId,
    roles: ['officer'],
    predecessorId: null,
    expiresAt: null,
  };
  const { id, text } = await a.database.transaction((tx) => writeToken(tx, a, systemActor(a, 'init'), facts));
  return { id, text };
}

/** What one run of the canary found. */
export interface CanaryResult {
  /** Milliseconds by channel, as far as the run came. */
  durations: Readonly<Record<string, number>>;
  /** Where it failed first, and how: a word, never what a server said. */
  failure: { channel: string; kind: string } | undefined;
}

/** One audit entry per run: canary.passed or canary.failed. */
export async function recordCanary(a: AuthorityContext, { durations, failure }: CanaryResult): Promise<void> {
  const actor = systemActor(a, newId(a.clock));
  await a.database.transaction((tx) =>
    appendAudit(tx, {
      at: a.clock.now(),
      actor: actor.id,
      action: failure === undefined ? 'canary.passed' : 'canary.failed',
      subject: `plane:${a.plane}`,
      outcome: failure === undefined ? 'success' : 'failed',
      requestId: actor.requestId,
      detail: { channel: failure?.channel, error: failure?.kind, milliseconds: durations },
      issuerOrgId: a.authorityId,
    }),
  );
}
