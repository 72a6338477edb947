import { AuthorityError } from '#kernel';
import { checkNamesOfProfile, nameText, overEst, type Profile } from '#policy';
import { bindDevice, latestStatuses, lockUnexpiredOfDevices, type Device, type StatusChange, type Tx } from '#store';
import { certificateAudit, revocation } from '../certificates.js';
import { statusChange, type StatusAudit } from '../change-status.js';
import type { Actor, AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { serialOf } from '../device-standing.js';
import { withdrawPending } from '../enrollment/close-pending.js';
import { auditingRefusal } from '../refusal.js';
import { bind, bindingId, requireOwnBinding } from './device-binding.js';
import { entitle, readNames, type GivenName } from './entitle.js';

export interface NamesChange {
  profile?: string | undefined;
  names?: readonly GivenName[] | undefined;
  /** Why certificates end that say what is not so any more. */
  reason?: 'affiliationChanged' | 'superseded' | undefined;
}

export const changesNames = ({ profile, names }: NamesChange): boolean => profile !== undefined || names !== undefined;

/** A profile that devices enroll by. Throws `invalid`. */
export function requireDeviceProfile(a: AuthorityContext, name: string): Profile {
  const profile = profileOrUndefined(a, name);
  if (profile !== undefined && overEst(profile) && profile.subject !== 'given') return profile;
  throw new AuthorityError('invalid', 'profile: no such profile of devices', { member: 'profile' });
}

function profileOrUndefined(a: AuthorityContext, name: string): Profile | undefined {
  try {
    return currentProfile(a, name);
  } catch (error) {
    if (error instanceof AuthorityError && error.kind === 'notFound') return undefined;
    throw error;
  }
}

/** What a device with this profile may be called: form, profile and entitlement. A refusal leaves an entry. */
export function entitledTo(
  a: AuthorityContext,
  actor: Actor,
  device: Pick<Device, 'instanceId' | 'ownerOrgId' | 'issuerOrgId'> & { id: string | undefined },
  wanted: { profile: string; names: readonly GivenName[] },
): Promise<{ names: string[]; nameHolders: string[] }> {
  const subject = `device:${device.id ?? 'new'}`;
  const action = device.id === undefined ? 'device.registered' : 'device.changed';
  return auditingRefusal(a, actor, action, subject, async () => {
    const names = readNames(wanted.names);
    checkNamesOfProfile(requireDeviceProfile(a, wanted.profile), names);
    return { names: names.map(nameText), nameHolders: await entitle(a, actor, device, names) };
  });
}

/**
 * Gives a device, which is locked, other names or another profile, for its next first enrollment. Certificates that say
 * what is not so any more are revoked; where names were only added, they stay. What waits for approval, or has it, is
 * withdrawn: it would be for other names. What has to be logged is for the end of the transaction.
 */
export async function changeNames(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  device: Device,
  change: NamesChange,
): Promise<{ device: Device; audits: StatusAudit[]; changes: StatusChange[] }> {
  await requireOwnBinding(tx, a, device);
  const profile = change.profile ?? device.profile;
  const given = change.names ?? device.names;
  const entitled = await entitledTo(a, actor, device, { profile, names: given });
  const facts = { ...device, profile, ...entitled };
  const changed = { ...facts, ...bind(a, facts) };
  await bindDevice(tx, changed);
  const at = a.clock.now();
  const gone = device.names.filter((name) => !changed.names.includes(name));
  const audit: StatusAudit = {
    action: 'device.changed',
    subject: `device:${device.id}`,
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
    detail: { profile, names: changed.names.join(' '), before: device.names.join(' ') },
  };
  const superseded =
    device.mac === null
      ? []
      : [statusChange({ kind: 'user', subject: bindingId(device.mac), status: 'superseded', reason: null, at })];
  const ended =
    profile !== device.profile || gone.length > 0
      ? await endCertificates(tx, device.id, change.reason ?? 'affiliationChanged', at)
      : { audits: [], changes: [] };
  const withdrawn = await withdrawPending(tx, a, device.id);
  return {
    device: changed,
    audits: [audit, ...withdrawn, ...ended.audits],
    changes: [...superseded, ...ended.changes],
  };
}

async function endCertificates(
  tx: Tx,
  deviceId: string,
  reason: string,
  at: Date,
): Promise<{ audits: StatusAudit[]; changes: StatusChange[] }> {
  const rows = await lockUnexpiredOfDevices(tx, [deviceId], at);
  const latest = await latestStatuses(tx, 'certificate', rows.map(serialOf));
  const good = rows.filter((row) => latest.get(serialOf(row))?.status !== 'revoked');
  return {
    audits: good.map((row) => certificateAudit(row, 'certificate.revoked', { reason })),
    changes: good.map((row) =>
      revocation(row, latest.get(serialOf(row)), { status: 'revoked', reason, at, invalidityDate: null }),
    ),
  };
}
