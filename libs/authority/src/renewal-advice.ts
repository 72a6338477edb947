import { appendAudit } from '#audit';
import { AuthorityError } from '#kernel';
import { renewalWindow, type RenewalWindow } from '#policy';
import { renewalCallMac } from '#status';
import {
  findRenewalFacts,
  findDeviceGroup,
  insertRenewalCall,
  isId,
  listRenewalCalls,
  newId,
  type RenewalCallKind,
  type RenewalCallRow,
  type RenewalFacts,
} from '#store';
import { parseSerial } from './certificates.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';

/** For a certificate that is good; `now`: something happened, the window is over from the beginning. */
export interface RenewalAdvice extends RenewalWindow {
  serial: string;
  now: boolean;
}

/** What asks for advice: a plane, also one that changes nothing. */
export type AdviceView = Pick<AuthorityContext, 'clock' | 'database' | 'macKey' | 'log'> & {
  follower: { index: Pick<AuthorityContext['follower']['index'], 'certificate' | 'issuer'> };
};

/** How old the calls in memory may be. */
const CALLS_MS = 10_000;
const calls = new WeakMap<object, { readAt: number; rows: readonly RenewalCallRow[] }>();

/**
 * When this certificate is to be renewed; undefined for one that there is not, or that is not good any more: nothing is
 * renewed with it.
 */
export async function renewalAdvice(
  a: AdviceView,
  actor: Actor | undefined,
  serialText: string,
): Promise<RenewalAdvice | undefined> {
  const serial = parseSerial(serialText);
  if (serial === undefined) return undefined;
  const facts = await a.database.transaction(
    (tx) => findRenewalFacts(tx, serial),
    actor ? scopeOf({ plane: 'api' }, actor) : {},
  );
  const status = a.follower.index.certificate(serial.toString('hex'))?.status;
  if (!facts || status === 'revoked' || status === 'onHold' || facts.notAfter < a.clock.now()) return undefined;
  const window = renewalWindow(facts);
  const since = facts.keyBlocked ? facts.notBefore : await urgentSince(a, facts);
  if (since === undefined) return { serial: serial.toString('hex'), ...window, now: false };
  const end = new Date(Math.floor(since.getTime() / 1000) * 1000);
  return { serial: serial.toString('hex'), start: facts.notBefore, end, now: true };
}

/** A CA that was revoked, or somebody's call, after the certificate was made. */
async function urgentSince(a: AdviceView, facts: RenewalFacts): Promise<Date | undefined> {
  const issuer = a.follower.index.issuer(facts.issuerId);
  if (issuer?.status === 'revoked') return issuer.at;
  const called = (await currentCalls(a)).find(
    ({ kind, subject, calledAt }) =>
      subject === (kind === 'group' ? facts.groupId : facts.issuerId) && facts.issuedAt < calledAt,
  );
  return called?.calledAt;
}

async function currentCalls(a: AdviceView): Promise<readonly RenewalCallRow[]> {
  const known = calls.get(a.database);
  const now = a.clock.monotonicMs();
  if (known && now - known.readAt < CALLS_MS) return known.rows;
  const rows = (await a.database.transaction(listRenewalCalls, { scope: EVERYTHING })).filter((row) => {
    const ours = row.mac.equals(renewalCallMac(a.macKey, row));
    if (!ours) a.log.error({ call: row.id }, 'ALARM: a call to renew that this authority did not write; passed over');
    return ours;
  });
  calls.set(a.database, { readAt: now, rows });
  return rows;
}

/** That somebody calls is no secret of an organization: it is told to whoever asks. */
const EVERYTHING = { organizationId: '00000000-0000-0000-0000-000000000000', authority: true };

/** From now on every certificate that this CA, or for a device of this group, was issued before is to be renewed at once. */
export async function callRenewal(
  a: AuthorityContext,
  actor: Actor,
  called: { kind: RenewalCallKind; id: string; reason: string },
): Promise<{ kind: RenewalCallKind; id: string; calledAt: Date }> {
  const { kind, id, reason } = called;
  const organizations = await ownersOf(a, actor, kind, id);
  return a.database.transaction(
    async (tx) => {
      const at = a.clock.now();
      const row = { id: newId(a.clock), kind, subject: id, calledBy: actor.id, calledAt: at, reason, ...organizations };
      await insertRenewalCall(tx, { ...row, mac: renewalCallMac(a.macKey, row) });
      await appendAudit(tx, {
        ...{ at, actor: actor.id, action: 'renewal.called', subject: `${kind}:${id}`, outcome: 'success' },
        ...{ requestId: actor.requestId, detail: { reason }, ...organizations },
      });
      calls.delete(a.database);
      return { kind, id, calledAt: at };
    },
    scopeOf(a, actor),
  );
}

async function ownersOf(
  a: AuthorityContext,
  actor: Actor,
  kind: RenewalCallKind,
  id: string,
): Promise<{ ownerOrgId: string; issuerOrgId: string }> {
  if (kind === 'issuer') {
    if (!actor.authority) throw new AuthorityError('forbidden', 'only the authority calls for a CA');
    if (!(await a.issuers.find(id))) throw notFound('issuer');
    return { ownerOrgId: a.authorityId, issuerOrgId: a.authorityId };
  }
  const group = isId(id) ? await a.database.transaction((tx) => findDeviceGroup(tx, id), scopeOf(a, actor)) : undefined;
  if (!group) throw notFound('device group');
  return { ownerOrgId: group.ownerOrgId, issuerOrgId: group.issuerOrgId };
}
