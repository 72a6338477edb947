import { MAX_LOG_AGE_MS, crlName, crlScopes, type Publisher } from '#publication';
import type { Issuer } from '#authority';
import { vouches } from '#status';
import { findPublished, outboxLag } from '#store';

const MAX_OUTBOX_SECONDS = 60;

/** Why the worker does not do its work: asked of the database, empty when all is well. */
export async function findProblems(p: Publisher, issuers: readonly Issuer[]): Promise<string[]> {
  const problems: string[] = [];
  if (p.follower.broken !== undefined) problems.push(`the status log is not believed: ${p.follower.broken.message}`);
  else if (p.follower.ageMs > MAX_LOG_AGE_MS) problems.push('the status log was not followed for a minute');
  await p.database.transaction(async (tx) => {
    const { open, oldestSeconds } = await outboxLag(tx);
    if (oldestSeconds > MAX_OUTBOX_SECONDS)
      problems.push(`${open} outbox rows are open, the oldest for ${Math.round(oldestSeconds)} s`);
    for (const issuer of issuers.filter(({ caKeyId }) => caKeyId !== null)) {
      const now = p.clock.now();
      if (vouches(issuer, now) && p.delegates.current(issuer.id, now) === undefined)
        problems.push(`issuer ${issuer.id} has no OCSP delegate`);
      for (const scope of crlScopes(issuer)) {
        const crl = await findPublished(tx, crlName(issuer.id, scope));
        if (crl === undefined) problems.push(`${crlName(issuer.id, scope)} is not published`);
        else if (crl.nextUpdate !== null && isHalfOver(crl.thisUpdate, crl.nextUpdate, p.clock.now())) {
          problems.push(`${crlName(issuer.id, scope)} is past half of its life`);
        }
      }
    }
  });
  return problems;
}

/** C21: a CRL is replaced long before; at half its life something is wrong. */
function isHalfOver(from: Date, to: Date, now: Date): boolean {
  return now.getTime() > (from.getTime() + to.getTime()) / 2;
}
