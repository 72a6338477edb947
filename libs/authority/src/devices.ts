import { randomUUID } from 'node:crypto';
import { appendAudit, type AuditAction } from '#audit';
import { mintEnrollmentSecret, sealContext, sealVerifier, verifierHash } from '#credential';
import { addSeconds, AuthorityError } from '#kernel';
import { REVOCATION_REASONS } from '#policy';
import {
  blockKey,
  changeDevice as updateDevice,
  findApp,
  findDeviceGroup,
  findRelease,
  insertDevice,
  insertEnrollmentSecret,
  isId,
  latestStatus,
  latestStatuses,
  lockDevice,
  newId,
  setDeviceStatus,
  lockUnexpiredOfDevice,
  withdrawEnrollmentSecrets,
  type CertificateRow,
  type Device,
  type StatusChange,
  type StatusRow,
  type Tx,
} from '#store';
import { certificateAudit, release, revocation } from './certificates.js';
import { logStatus, receipt, statusChange, type Receipt, type StatusAudit } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { auditRefusal } from './refusal.js';
import { notFound } from './registry.js';

/** What the device needs for its first certificate: HTTP Basic over EST. The secret is shown once. */
export interface Enrollment {
  username: string;
  secret: string;
  expiresAt: Date;
}

export interface DeviceRequest {
  appId: string;
  releaseId?: string | undefined;
  groupId?: string | undefined;
  instanceId?: string | undefined;
  profile?: string | undefined;
  names?: string[] | undefined;
}

/**
 * Registers a device and makes its one-time secret. Throws `conflict` when the instanceId is taken, whoever holds it,
 * and leaves an audit entry of the try.
 */
export async function registerDevice(
  a: AuthorityContext,
  actor: Actor,
  request: DeviceRequest,
): Promise<{ device: Device; enrollment: Enrollment }> {
  if ((request.profile ?? 'device') !== 'device') {
    throw new AuthorityError('invalid', 'profile: devices enroll with the profile "device"', { member: 'profile' });
  }
  if (request.names !== undefined && request.names.length > 0) {
    throw new AuthorityError('invalid', 'names: the profile "device" has no names besides the instanceId', {
      member: 'names',
    });
  }
  const instanceId = request.instanceId ?? randomUUID();
  const made = await a.database.transaction(
    async (tx) => {
      const app = isId(request.appId) ? await findApp(tx, request.appId) : undefined;
      if (!app) throw new AuthorityError('invalid', 'appId: no such app', { member: 'appId' });
      await requireRelease(tx, request.releaseId, app.id);
      await requireGroup(tx, request.groupId, app.ownerOrgId);
      const device = await insertDevice(tx, {
        id: newId(a.clock),
        instanceId,
        appId: app.id,
        releaseId: request.releaseId ?? null,
        groupId: request.groupId ?? null,
        profile: 'device',
        names: [],
        ownerOrgId: app.ownerOrgId,
        issuerOrgId: app.issuerOrgId,
      });
      if (!device) return undefined;
      await audit(tx, a, actor, 'device.registered', device, { instanceId, appId: app.id });
      return { device, enrollment: await makeSecret(tx, a, device) };
    },
    scopeOf(a, actor),
  );
  if (made) return made;
  const error = new AuthorityError('conflict', 'instanceId: taken', { member: 'instanceId', code: 'instanceIdTaken' });
  await auditRefusal(a, actor, { action: 'device.registered', subject: 'device:new', error, detail: { instanceId } });
  throw error;
}

/** Moves a device to another group or release of its vendor. */
export async function changeDevice(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  change: { groupId?: string | null | undefined; releaseId?: string | null | undefined },
): Promise<Device> {
  return a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      await requireRelease(tx, change.releaseId ?? undefined, device.appId);
      await requireGroup(tx, change.groupId ?? undefined, device.ownerOrgId);
      const changed = await updateDevice(tx, id, change);
      if (!changed) throw notFound('device');
      await audit(tx, a, actor, 'device.changed', device, { groupId: changed.groupId, releaseId: changed.releaseId });
      return changed;
    },
    scopeOf(a, actor),
  );
}

/** Grants one re-enrollment: a new secret; unused older ones end. */
export async function resetDevice(a: AuthorityContext, actor: Actor, id: string): Promise<{ enrollment: Enrollment }> {
  return a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      if (device.status === 'revoked' || (await latestStatus(tx, 'device', id))?.status === 'revoked') {
        throw new AuthorityError(
          'conflict',
          'the device is revoked: it stays so until two people grant a re-enrollment',
          {
            code: 'deviceRevoked',
          },
        );
      }
      const withdrawn = await withdrawEnrollmentSecrets(tx, id);
      await audit(tx, a, actor, 'device.reset', device, { withdrawnSecrets: withdrawn });
      return { enrollment: await makeSecret(tx, a, device) };
    },
    scopeOf(a, actor),
  );
}

/** Ends EST access at once and holds every certificate of the device. */
export const suspendDevice = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeStanding(a, actor, id, {
    action: 'device.suspended',
    from: ['registered', 'enrolled'],
    status: () => 'suspended',
    reason: null,
    certificates: (row, latest, at) =>
      latest?.status === 'revoked' || latest?.status === 'onHold'
        ? undefined
        : revocation(row, latest, { status: 'onHold', reason: 'certificateHold', at, invalidityDate: null }),
  });

/** Lifts the suspension and the holds that it made; certificates held for themselves stay on hold. */
export const resumeDevice = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeStanding(a, actor, id, {
    action: 'device.resumed',
    from: ['suspended'],
    status: (certificates) => (certificates.length > 0 ? 'enrolled' : 'registered'),
    reason: null,
    certificates: (row, latest, at, suspendedAt) =>
      latest?.status === 'onHold' && latest.at.getTime() === suspendedAt?.getTime() ? release(row, at) : undefined,
  });

/** Final: the device, every certificate of it and its unused secrets, in one transaction. */
export function revokeDevice(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { reason: string },
): Promise<Receipt> {
  if (!(REVOCATION_REASONS as readonly string[]).includes(request.reason) || request.reason === 'certificateHold') {
    throw new AuthorityError('invalid', 'reason: one of the RFC 5280 names; to pause a device use suspend', {
      member: 'reason',
    });
  }
  return changeStanding(a, actor, id, {
    action: 'device.revoked',
    from: ['registered', 'enrolled', 'suspended'],
    status: () => 'revoked',
    reason: request.reason,
    certificates: (row, latest, at) =>
      latest?.status === 'revoked'
        ? undefined
        : revocation(row, latest, { status: 'revoked', reason: request.reason, at, invalidityDate: null }),
  });
}

/** As shown: the status log before the row. */
export function deviceStatus(a: Pick<AuthorityContext, 'follower'>, row: Device): Device['status'] {
  const entry = a.follower.index.device(row.id);
  if (entry?.status === 'revoked' || entry?.status === 'suspended') return entry.status;
  return row.status === 'revoked' || row.status === 'suspended' ? 'registered' : row.status;
}

interface Standing {
  action: AuditAction;
  from: readonly Device['status'][];
  status: (certificates: readonly CertificateRow[]) => Device['status'];
  reason: string | null;
  /** What follows for one certificate; undefined for none. */
  certificates: (
    row: CertificateRow,
    latest: StatusRow | undefined,
    at: Date,
    suspendedAt: Date | undefined,
  ) => StatusChange | undefined;
}

async function changeStanding(a: AuthorityContext, actor: Actor, id: string, standing: Standing): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      const latest = await latestStatus(tx, 'device', id);
      const at = a.clock.now();
      const certificates = await lockUnexpiredOfDevice(tx, id, at);
      const status = standing.status(certificates);
      if (latest?.status === status && device.status === status && status !== 'enrolled' && status !== 'registered') {
        return { status, seq: latest.seq, at: latest.at };
      }
      if (!(await setDeviceStatus(tx, id, standing.from, status))) {
        throw new AuthorityError(
          'conflict',
          `the device is ${device.status}; this needs it to be ${standing.from.join(' or ')}`,
        );
      }
      if (status === 'revoked') await withdrawEnrollmentSecrets(tx, id);
      const changes: StatusChange[] = [];
      const audits: StatusAudit[] = [deviceAudit(device, standing)];
      const before = await latestStatuses(tx, 'certificate', certificates.map(serialOf));
      for (const row of certificates) {
        // No other device may carry the key either.
        if (standing.reason === 'keyCompromise') await blockKey(tx, row.spkiSha256, 'keyCompromise');
        const change = standing.certificates(row, before.get(serialOf(row)), at, latest?.at);
        if (!change) continue;
        changes.push(change);
        audits.push(
          certificateAudit(row, CERTIFICATE_ACTION[change.status] ?? 'certificate.revoked', { reason: change.reason }),
        );
      }
      changes.push(statusChange({ kind: 'device', subject: id, status, reason: standing.reason, at }));
      return { status, seq: await logStatus(tx, a, actor, at, audits, changes), at };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return receipt('device', id, result.status, result.seq, result.at);
}

const serialOf = (row: CertificateRow): string => row.serial.toString('hex');

const CERTIFICATE_ACTION: Readonly<Record<string, AuditAction>> = {
  revoked: 'certificate.revoked',
  onHold: 'certificate.held',
  active: 'certificate.released',
};

const deviceAudit = (device: Device, standing: Standing): StatusAudit => ({
  action: standing.action,
  subject: `device:${device.id}`,
  ownerOrgId: device.ownerOrgId,
  issuerOrgId: device.issuerOrgId,
  detail: { reason: standing.reason },
});

async function makeSecret(tx: Tx, a: AuthorityContext, device: Device): Promise<Enrollment> {
  const credential = mintEnrollmentSecret();
  const expiresAt = addSeconds(a.clock.now(), a.lifetimes.enrollmentSecret);
  await insertEnrollmentSecret(tx, {
    id: credential.id,
    deviceId: device.id,
    sealedVerifier: sealVerifier(a.pepper, verifierHash(credential), secretSealContext(credential.id, device.id)),
    pepperVersion: a.pepper.version,
    expiresAt,
  });
  return { username: device.id, secret: credential.text, expiresAt };
}

/** A secret's verifier opens only in its own row, for its own device. */
export const secretSealContext = (id: string, deviceId: string): Buffer =>
  sealContext('enrollment-secret', { id, deviceId });

async function requireDevice(tx: Tx, id: string): Promise<Device> {
  const device = isId(id) ? await lockDevice(tx, id) : undefined;
  if (!device) throw notFound('device');
  return device;
}

async function requireRelease(tx: Tx, id: string | undefined, appId: string): Promise<void> {
  if (id === undefined) return;
  const found = isId(id) ? await findRelease(tx, id) : undefined;
  if (found?.appId !== appId) {
    throw new AuthorityError('invalid', 'releaseId: no such release of this app', { member: 'releaseId' });
  }
}

async function requireGroup(tx: Tx, id: string | undefined, ownerOrgId: string): Promise<void> {
  if (id === undefined) return;
  const group = isId(id) ? await findDeviceGroup(tx, id) : undefined;
  if (!group || (group.ownerOrgId !== ownerOrgId && group.ownerOrgId !== group.issuerOrgId)) {
    throw new AuthorityError('invalid', 'groupId: no such group for devices of this vendor', { member: 'groupId' });
  }
}

async function audit(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  action: AuditAction,
  device: Device,
  detail: Readonly<Record<string, string | number | null>>,
): Promise<void> {
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action,
    subject: `device:${device.id}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail,
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  });
}
