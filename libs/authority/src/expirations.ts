import { appendAudit } from '#audit';
import { dropEndedAnswers, findEnded, recordEnded } from '#store';
import { systemActor, type AuthorityContext } from './context.js';

const BLOCK = 500;

/**
 * Records, once each, the keys and certificates whose end has passed. Time itself ends them everywhere; this only writes
 * the history, and drops stored answers whose time is over. Returns how many ends were recorded.
 */
export async function recordExpirations(a: AuthorityContext): Promise<number> {
  const actor = systemActor(a, 'expiry');
  await a.database.transaction(dropEndedAnswers);
  let total = 0;
  for (;;) {
    const recorded = await a.database.transaction(async (tx) => {
      const ended = await findEnded(tx, BLOCK);
      for (const one of ended) {
        if (!(await recordEnded(tx, one.kind, one.subject))) continue;
        await appendAudit(tx, {
          at: a.clock.now(),
          actor: actor.id,
          action: one.kind === 'key' ? 'key.expired' : 'certificate.expired',
          subject: `${one.kind}:${one.subject}`,
          outcome: 'success',
          requestId: actor.requestId,
          ownerOrgId: one.ownerOrgId,
          issuerOrgId: one.issuerOrgId,
        });
      }
      return ended.length;
    });
    total += recorded;
    if (recorded < BLOCK) return total;
  }
}
