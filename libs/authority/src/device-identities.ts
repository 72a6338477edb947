import { appendAudit } from '#audit';
import { AuthorityError, isAuthorityError } from '#kernel';
import { checkRowMac, deviceIdentityMac } from '#status';
import {
  deleteDeviceIdentity,
  findApp,
  insertDeviceIdentity,
  latestStatus,
  listDeviceIdentities,
  newId,
  type Device,
  type DeviceIdentityKind,
  type DeviceIdentityRow,
  type Tx,
} from '#store';
import { logStatus, statusChange } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { currentAnchors } from './current-anchors.js';
import { auditRefusal } from './refusal.js';
import { requireDevice } from './register-device.js';
import { notFound } from './registry.js';

/** What a device will prove itself with, beside or instead of its secret. */
export interface WantedIdentities {
  /** Of the certificate that its manufacturer gave it: the set of trust anchors, and what that reads from it. */
  manufacturerId?: { anchors: string; id: string } | undefined;
  /** SHA-256 of a certificate, also a self-signed one: lower-case hex. */
  certificateFingerprint?: string | undefined;
  /** SHA-256 of a SubjectPublicKeyInfo: lower-case hex. */
  keyFingerprint?: string | undefined;
}

type Identity = Pick<DeviceIdentityRow, 'kind' | 'anchors' | 'value' | 'automatic'>;

/** In the transaction that registers the device. Throws `conflict` (code `identityTaken`), whoever holds it. */
export async function addIdentities(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  device: Device,
  wanted: WantedIdentities,
): Promise<void> {
  const { manufacturerId, certificateFingerprint, keyFingerprint } = wanted;
  if (manufacturerId !== undefined) {
    const { anchors, id: value } = manufacturerId;
    await requireAnchorsOf(tx, a, device, anchors);
    await addIdentity(tx, a, actor, device, { kind: 'manufacturer', anchors, value, automatic: false });
  }
  const fingerprints: [DeviceIdentityKind, string | undefined][] = [
    ['certificate', certificateFingerprint],
    ['key', keyFingerprint],
  ];
  for (const [kind, value] of fingerprints) {
    if (value === undefined) continue;
    await addIdentity(tx, a, actor, device, { kind, anchors: '', value, automatic: false });
  }
}

/** Stores one under its MAC, with its audit entry. Throws `conflict` (code `identityTaken`), whoever holds it. */
export async function addIdentity(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  device: Device,
  identity: Identity,
): Promise<DeviceIdentityRow> {
  const facts = { id: newId(a.clock), deviceId: device.id, ...identity };
  const row = {
    ...facts,
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
    mac: deviceIdentityMac(a.macKey, facts),
  };
  if (!(await insertDeviceIdentity(tx, row))) {
    const member = MEMBERS[identity.kind];
    throw new AuthorityError('conflict', `${member}: taken`, { member, code: 'identityTaken' });
  }
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action: 'device.identityAdded',
    subject: `device:${device.id}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail: { identityId: row.id, ...identity },
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  });
  return { ...row, createdAt: a.clock.now() };
}

const MEMBERS: Readonly<Record<DeviceIdentityKind, string>> = {
  manufacturer: 'manufacturerId',
  certificate: 'certificateFingerprint',
  key: 'keyFingerprint',
};

/** One set is of one app: nobody registers devices of others under it, and a foreign set is told from none by nothing. */
async function requireAnchorsOf(tx: Tx, a: AuthorityContext, device: Device, name: string): Promise<void> {
  const set = currentAnchors(a, name);
  const app = set === undefined ? undefined : await findApp(tx, set.appId);
  if (app?.ownerOrgId === device.ownerOrgId && app.issuerOrgId === device.issuerOrgId) return;
  throw new AuthorityError('invalid', 'manufacturerId: no such set of trust anchors for devices of this vendor', {
    member: 'manufacturerId',
  });
}

/** One fingerprint more for a device that is there. A taken one leaves an audit entry of the try. */
export async function addFingerprint(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  fingerprint: { kind: 'certificate' | 'key'; value: string },
): Promise<DeviceIdentityRow> {
  try {
    return await a.database.transaction(
      async (tx) => {
        const device = await requireDevice(tx, deviceId);
        return addIdentity(tx, a, actor, device, { ...fingerprint, anchors: '', automatic: false });
      },
      scopeOf(a, actor),
    );
  } catch (error) {
    if (isAuthorityError(error, 'conflict')) await refuseTaken(a, actor, `device:${deviceId}`, error);
    throw error;
  }
}

export const refuseTaken = (a: AuthorityContext, actor: Actor, subject: string, error: AuthorityError): Promise<void> =>
  auditRefusal(a, actor, { action: 'device.identityAdded', subject, error, detail: { member: error.member ?? null } });

/**
 * A fingerprint counts no more, at once. What its manufacturer's certificate says a device is stays for ever: that
 * certificate does not change its mind either.
 */
export async function removeFingerprint(
  a: AuthorityContext,
  actor: Actor,
  deviceId: string,
  identityId: string,
): Promise<void> {
  const seq = await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, deviceId);
      const row = (await listDeviceIdentities(tx, device.id)).find((one) => one.id === identityId);
      if (row === undefined || row.kind === 'manufacturer') throw notFound('fingerprint');
      await deleteDeviceIdentity(tx, row.id);
      const at = a.clock.now();
      const audit = {
        action: 'device.identityRemoved',
        subject: `device:${device.id}`,
        ownerOrgId: device.ownerOrgId,
        issuerOrgId: device.issuerOrgId,
        detail: { identityId: row.id, kind: row.kind, value: row.value },
      } as const;
      const change = statusChange({ kind: 'identity', subject: row.id, status: 'revoked', at });
      return logStatus(tx, a, actor, at, [audit], [change]);
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
}

/** Throws `internal` (code `rowMac`) for a row that this authority did not write; undefined for one that was removed. */
export async function believedIdentity(
  tx: Tx,
  a: Pick<AuthorityContext, 'macKey' | 'follower'>,
  row: DeviceIdentityRow,
): Promise<DeviceIdentityRow | undefined> {
  checkRowMac(row.mac, deviceIdentityMac(a.macKey, row), `identity ${row.id} of a device`);
  const removed = a.follower.index.identity(row.id) ?? (await latestStatus(tx, 'identity', row.id));
  return removed === undefined ? row : undefined;
}
