import { appendAudit } from '#audit';
import { CREDENTIAL_PATTERN } from '#credential';
import { scopeOf, systemActor, type AuthorityContext } from './context.js';
import { genuineKey } from './enrollment/authenticate/api-key.js';

/** As written in a URL or in clear. */
const CANDIDATES = new RegExp(CREDENTIAL_PATTERN, 'g');

/**
 * Flags the API keys that stand where they may have been logged, as in a query string (TX09): who owns the key is told to
 * replace it. Only what is wholly a key of ours is flagged, so that nobody flags a key that he does not know. Never throws.
 */
export async function flagExposedKeys(
  a: AuthorityContext,
  text: string,
  at: { address: string; requestId: string },
): Promise<void> {
  const keys = (text.match(CANDIDATES) ?? []).flatMap((one) => genuineKey(a, one.replace(/%5f/gi, '_')) ?? []);
  const [key] = keys;
  if (key === undefined || !a.failedAttempts.mayRecordRefusal(at.address)) return;
  const actor = { ...systemActor(a, at.requestId), id: `anonymous:${at.address}` };
  const { id, ownerOrgId, issuerOrgId, releaseId, environment } = key;
  await a.independent
    .transaction(
      (tx) =>
        appendAudit(tx, {
          at: a.clock.now(),
          actor: actor.id,
          action: 'key.exposed',
          subject: `key:${id}`,
          outcome: 'success',
          requestId: at.requestId,
          detail: { plane: a.plane, releaseId, environment },
          ownerOrgId,
          issuerOrgId,
        }),
      scopeOf(a, actor),
    )
    .catch((error: unknown) => a.log.error({ err: error, key: id }, 'an exposed key could not be flagged'));
}
