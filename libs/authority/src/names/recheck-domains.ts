import { addSeconds, isAuthorityError } from '#kernel';
import {
  findDueDomains,
  holdDomain,
  latestStatus,
  lockDomain,
  noteMissingProof,
  releaseDomain,
  type DomainRow,
} from '#store';
import { logStatus, statusChange } from '../change-status.js';
import { systemActor, type AuthorityContext } from '../context.js';
import { BY_DNS, checkDomain, isHeld } from './domain-standing.js';
import { findProof } from './find-proof.js';
import { domainAudit } from './prove-domain.js';

/** Each held domain is looked at so often. */
const EVERY_SECONDS = 86_400;
/** So many looks in a row without the record, and the domain is held no more. */
const FAILURES = 7;
/** A proof that was logged so long ago is logged anew: from the log alone it counts for 30 days. */
const LOG_AGAIN_SECONDS = 7 * 86_400;
const BATCH = 200;

/**
 * Looks again for the proofs of domains that are due (S21). DNS that does not answer counts for nothing; a record that is
 * gone ends the domain after a week: then nothing is issued or renewed under it, and whoever proves it next gets it.
 */
export async function recheckDomains(a: AuthorityContext): Promise<{ found: number; missing: number; lapsed: number }> {
  const done = { found: 0, missing: 0, lapsed: 0 };
  const before = addSeconds(a.clock.now(), -EVERY_SECONDS);
  for (const row of await a.database.transaction((tx) => findDueDomains(tx, before, BATCH))) {
    const entry = a.follower.index.domain(row.id);
    if (entry?.status !== 'verified' || entry.reason !== BY_DNS) continue;
    try {
      checkDomain(a, row);
      done[await recheck(a, row, isHeld(a, entry))] += 1;
    } catch (error) {
      if (!isAuthorityError(error)) throw error;
      a.log.warn({ err: error, domain: row.id }, 'a domain could not be looked at; next try in an hour');
    }
  }
  return done;
}

/** `held`: whether the proof that the log tells of counts still; one that is too old ends also where DNS does not answer. */
async function recheck(a: AuthorityContext, row: DomainRow, held: boolean): Promise<'found' | 'missing' | 'lapsed'> {
  const found = await findProof(a, row).catch((error: unknown) => {
    if (held) throw error;
    return false;
  });
  const actor = systemActor(a, 'domain.recheck');
  const result = await a.database.transaction(async (tx) => {
    await lockDomain(tx, row.id);
    const at = a.clock.now();
    const latest = await latestStatus(tx, 'domain', row.id);
    if (latest?.status !== 'verified' || latest.reason !== BY_DNS) return { outcome: 'missing' as const, seq: 0 };
    if (found) {
      await holdDomain(tx, row.id, at);
      if (addSeconds(latest.at, LOG_AGAIN_SECONDS) > at) return { outcome: 'found' as const, seq: 0 };
      const change = statusChange({ kind: 'domain', subject: row.id, status: 'verified', reason: BY_DNS, at });
      const audit = domainAudit(row, actor, 'domain.verified', { by: BY_DNS });
      return { outcome: 'found' as const, seq: await logStatus(tx, a, actor, at, [audit], [change]) };
    }
    const failures = await noteMissingProof(tx, row.id, at);
    if (held && failures < FAILURES) return { outcome: 'missing' as const, seq: 0 };
    await releaseDomain(tx, row.id);
    const change = statusChange({ kind: 'domain', subject: row.id, status: 'lapsed', reason: BY_DNS, at });
    const audit = domainAudit(row, actor, 'domain.lapsed', { failures });
    return { outcome: 'lapsed' as const, seq: await logStatus(tx, a, actor, at, [audit], [change]) };
  });
  await a.follower.catchUp(result.seq);
  return result.outcome;
}
