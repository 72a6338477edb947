import { appendAudit, type AuditAction } from '#audit';
import { findEnding, findOverdueRenewals, recordWarning, type Ending, type Tx } from '#store';
import { systemActor, type AuthorityContext } from '../context.js';

const BLOCK = 500;
/** Seconds; what never renews itself is warned of at every step. */
const NEVER = 3_153_600_000;

type Find = (tx: Tx, scan: { at: Date; after: Ending | undefined; limit: number }) => Promise<Ending[]>;

/**
 * Writes an audit entry for everything that ends in 60, 30, 14, 7 or 1 days and for every renewal that is overdue, each step
 * once and only the tightest that was reached; notices follow from the entries. Returns how many were written.
 */
export async function warnOfExpiry(
  a: Pick<AuthorityContext, 'database' | 'clock' | 'follower' | 'lifetimes' | 'plane' | 'authorityId'>,
): Promise<number> {
  const { serverCertificateRenew, ocspDelegateRenew } = a.lifetimes;
  const searches: Find[] = [
    (tx, scan) => findEnding(tx, 'certificates', { ...scan, renews: serverCertificateRenew }),
    findOverdueRenewals,
    (tx, scan) => findEnding(tx, 'keys', { ...scan, renews: NEVER }),
    (tx, scan) => findEnding(tx, 'issuers', { ...scan, renews: NEVER }),
    (tx, scan) => findEnding(tx, 'ocspDelegates', { ...scan, renews: ocspDelegateRenew }),
  ];
  let written = 0;
  for (const find of searches) written += await warnOfAll(a, find);
  return written;
}

async function warnOfAll(a: Parameters<typeof warnOfExpiry>[0], find: Find): Promise<number> {
  const at = a.clock.now();
  let after: Ending | undefined;
  for (let written = 0; ;) {
    const block = await a.database.transaction(async (tx) => {
      const found = await find(tx, { at, after, limit: BLOCK });
      let count = 0;
      for (const one of found) if (!isOutOfUse(a, one) && (await warn(tx, a, at, one))) count++;
      return { found, count };
    });
    written += block.count;
    after = block.found.at(-1);
    if (block.found.length < BLOCK) return written;
  }
}

/** What is revoked ends without anybody waiting for it. */
function isOutOfUse(a: Pick<AuthorityContext, 'follower'>, { kind, id }: Ending): boolean {
  const { index } = a.follower;
  if (kind === 'key') return false;
  return (kind === 'certificate' ? index.certificate(id) : index.issuer(id))?.status === 'revoked';
}

async function warn(
  tx: Tx,
  a: Pick<AuthorityContext, 'plane' | 'authorityId'>,
  at: Date,
  one: Ending,
): Promise<boolean> {
  if (!(await recordWarning(tx, one, at))) return false;
  const actor = systemActor(a, 'expiry');
  await appendAudit(tx, {
    at,
    actor: actor.id,
    action: actionOf(one),
    subject: `${one.kind === 'ocspDelegate' ? 'issuer' : one.kind}:${one.id}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail: {
      days: one.days,
      endsAt: one.endsAt.toISOString(),
      profile: one.profile ?? undefined,
      deviceId: one.deviceId ?? undefined,
    },
    ownerOrgId: one.ownerOrgId,
    issuerOrgId: one.issuerOrgId ?? a.authorityId,
  });
  return true;
}

function actionOf({ kind, days }: Ending): AuditAction {
  switch (kind) {
    case 'certificate':
      return days === 0 ? 'certificate.renewalOverdue' : 'certificate.expiring';
    case 'key':
      return 'key.expiring';
    case 'issuer':
      return 'ca.expiring';
    case 'ocspDelegate':
      return 'ocspDelegate.expiring';
  }
}
