import { auditRow } from '#audit';
import { AuthorityError } from '#kernel';
import { intentRowMac } from '#status';
import {
  recordBoundIntents,
  recordIntent as insertIntent,
  together,
  type BoundIntent,
  type IntentRow,
  type NewIntent,
  type Tx,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { intentAudit } from './intent-audit.js';
import type { PreparedIntent } from './issue.js';

/**
 * Makes the intent: serial, exact bytes, audit entry and the binding of the one-time secret, in the caller's transaction.
 * Nothing is signed before it commits. `more`: by what the requester was recognized, for the audit entry. Undefined when the
 * secret is not free any more, or the key is blocked.
 */
export async function recordIntent(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  intent: PreparedIntent,
  secret: BoundIntent['secret'] | null = null,
  more: Readonly<Record<string, string>> = {},
): Promise<IntentRow | undefined> {
  const made = newIntent(a, actor, intent, more);
  const [recorded] = secret ? await recordBoundIntents(tx, [{ ...made, secret }]) : [await insertIntent(tx, made)];
  return recorded === true ? made.row : undefined;
}

/** The same as a transaction of its own, which it shares with others that come at the same time. */
export async function recordBoundIntent(
  a: Pick<AuthorityContext, 'clock' | 'macKey' | 'database'>,
  actor: Actor,
  intent: PreparedIntent,
  secret: BoundIntent['secret'],
): Promise<IntentRow | undefined> {
  const made = newIntent(a, actor, intent);
  return (await together(a.database, recordBoundIntents, { ...made, secret })) ? made.row : undefined;
}

function newIntent(
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  intent: PreparedIntent,
  more: Readonly<Record<string, string>> = {},
): NewIntent {
  const unsealed = { ...intent.row, tbs: intent.token.consume() };
  const row: IntentRow = { ...unsealed, mac: intentRowMac(a.macKey, unsealed) };
  const { profile, profileVersion, subject, names, deviceId } = row;
  const audit = auditRow({
    ...intentAudit(a, actor, row),
    action: 'certificate.requested',
    detail: { profile, profileVersion, subject, names, deviceId, ...more },
  });
  return { row, audit };
}

/** For the authority's own certificates, which no secret asks for. */
export async function recordOwnIntent(
  a: Pick<AuthorityContext, 'plane' | 'database' | 'clock' | 'macKey'>,
  actor: Actor,
  intent: PreparedIntent,
): Promise<IntentRow> {
  const row = await a.database.transaction((tx) => recordIntent(tx, a, actor, intent), scopeOf(a, actor));
  if (!row) throw new AuthorityError('internal', 'the intent was not recorded');
  return row;
}
