import { randomUUID } from 'node:crypto';
import { appendAudit, type AuditAction } from '#audit';
import { mintEnrollmentSecret, sealVerifier, verifierHash } from '#credential';
import { DIGEST_REALM, digestKey } from '#est';
import { addSeconds, AuthorityError, isAuthorityError } from '#kernel';
import { DEFAULT_LABEL } from '#policy';
import {
  changeDevice as updateDevice,
  findApp,
  findRelease,
  insertDevice,
  insertEnrollmentSecret,
  isId,
  latestStatus,
  lockDevice,
  lockDeviceGroup,
  newId,
  withdrawEnrollmentSecrets,
  type App,
  type Device,
  type Tx,
} from '#store';
import { logStatus } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { offersDigest } from './current-profile.js';
import { addIdentities, refuseTaken, type WantedIdentities } from './device-identities.js';
import { withdrawPending } from './enrollment/close-pending.js';
import { changeNames, changesNames, entitledTo, type NamesChange } from './names/change-names.js';
import { bind, requireOwnBinding } from './names/device-binding.js';
import type { GivenName } from './names/entitle.js';
import { digestSealContext, secretSealContext } from './secret-seal.js';
import { auditRefusal } from './refusal.js';
import { notFound } from './registry.js';

/** What the device needs for its first certificate: HTTP Basic, or Digest, over EST. The secret is shown once. */
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
  names?: readonly GivenName[] | undefined;
  manufacturerId?: WantedIdentities['manufacturerId'];
  certificateFingerprint?: string | undefined;
  keyFingerprint?: string | undefined;
}

/**
 * Registers a device and makes its one-time secret. Throws `conflict` when the instanceId, or an identity, is taken, whoever holds it,
 * and leaves an audit entry of the try.
 */
export async function registerDevice(
  a: AuthorityContext,
  actor: Actor,
  request: DeviceRequest,
): Promise<{ device: Device; enrollment: Enrollment }> {
  const { profile = DEFAULT_LABEL, names = [] } = request;
  const instanceId = request.instanceId ?? randomUUID();
  const made = await unlessTaken(a, actor, async (tx) => {
    const app = isId(request.appId) ? await findApp(tx, request.appId) : undefined;
    if (!app) throw new AuthorityError('invalid', 'appId: no such app', { member: 'appId' });
    await requireRelease(tx, request.releaseId, app.id);
    await requireGroup(tx, a, request.groupId, app.ownerOrgId);
    const { ownerOrgId, issuerOrgId } = app;
    const named = { id: undefined, instanceId, ownerOrgId, issuerOrgId };
    const entitled = await entitledTo(a, actor, named, { profile, names });
    const { releaseId = null, groupId = null } = request;
    const device = await createDevice(tx, a, actor, app, { instanceId, releaseId, groupId, profile, ...entitled });
    if (!device) return undefined;
    await addIdentities(tx, a, actor, device, request);
    return { device, enrollment: await makeSecret(tx, a, device) };
  });
  if (made) return made;
  const error = instanceIdTaken();
  await auditRefusal(a, actor, { action: 'device.registered', subject: 'device:new', error, detail: { instanceId } });
  throw error;
}

export const instanceIdTaken = (): AuthorityError =>
  new AuthorityError('conflict', 'instanceId: taken', { member: 'instanceId', code: 'instanceIdTaken' });

/** The device of an app, with its audit entry; undefined when the instanceId is taken. */
export async function createDevice(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  app: Pick<App, 'id' | 'ownerOrgId' | 'issuerOrgId'>,
  facts: Pick<Device, 'instanceId' | 'releaseId' | 'groupId' | 'profile' | 'names' | 'nameHolders'>,
): Promise<Device | undefined> {
  const { ownerOrgId, issuerOrgId } = app;
  const row = { id: newId(a.clock), appId: app.id, ownerOrgId, issuerOrgId, ...facts };
  const device = await insertDevice(tx, { ...row, ...bind(a, row) });
  if (device) await audit(tx, a, actor, 'device.registered', device, { instanceId: facts.instanceId, appId: app.id });
  return device;
}

async function unlessTaken<T>(a: AuthorityContext, actor: Actor, work: (tx: Tx) => Promise<T>): Promise<T> {
  try {
    return await a.database.transaction(work, scopeOf(a, actor));
  } catch (error) {
    if (isAuthorityError(error, 'conflict') && error.code === 'identityTaken') {
      await refuseTaken(a, actor, 'device:new', error);
    }
    throw error;
  }
}

/**
 * Moves a device to another group or release of its vendor; gives it other names or another profile for its next first
 * enrollment, as `changeNames` has it.
 */
export async function changeDevice(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  change: NamesChange & { groupId?: string | null | undefined; releaseId?: string | null | undefined },
): Promise<Device> {
  const result = await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      await requireRelease(tx, change.releaseId ?? undefined, device.appId);
      if (change.groupId !== undefined && change.groupId !== device.groupId) await requireMovable(tx, a, device);
      await requireGroup(tx, a, change.groupId ?? undefined, device.ownerOrgId);
      const changed = await updateDevice(tx, id, change);
      if (!changed) throw notFound('device');
      if (change.groupId !== undefined || change.releaseId !== undefined) {
        await audit(tx, a, actor, 'device.changed', device, { groupId: changed.groupId, releaseId: changed.releaseId });
      }
      if (!changesNames(change)) return { device: changed, seq: 0 };
      const renamed = await changeNames(tx, a, actor, changed, change);
      return {
        device: renamed.device,
        seq: await logStatus(tx, a, actor, a.clock.now(), renamed.audits, renamed.changes),
      };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return result.device;
}

/** Grants one re-enrollment: a new secret; unused older ones end. */
export async function resetDevice(a: AuthorityContext, actor: Actor, id: string): Promise<{ enrollment: Enrollment }> {
  return a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      await requireOwnBinding(tx, a, device);
      if (device.status === 'revoked' || (await latestStatus(tx, 'device', id))?.status === 'revoked') {
        throw new AuthorityError(
          'conflict',
          'the device is revoked; that it enrolls again takes the approval of a second person',
          {
            code: 'deviceRevoked',
          },
        );
      }
      const withdrawn = await withdrawEnrollmentSecrets(tx, id);
      for (const { action, detail } of await withdrawPending(tx, a, id)) {
        await audit(tx, a, actor, action, device, detail ?? {});
      }
      await audit(tx, a, actor, 'device.reset', device, { withdrawnSecrets: withdrawn });
      return { enrollment: await makeSecret(tx, a, device) };
    },
    scopeOf(a, actor),
  );
}

/** A new one-time secret of the device, shown once; for HTTP Digest too where a label of its profile has that. */
export async function makeSecret(tx: Tx, a: AuthorityContext, device: Device): Promise<Enrollment> {
  const credential = mintEnrollmentSecret();
  const expiresAt = addSeconds(a.clock.now(), a.lifetimes.enrollmentSecret);
  const { pepper } = a;
  const secret = { id: credential.id, expiresAt };
  const digest = offersDigest(a, device.profile)
    ? digestKey({ user: device.id, realm: DIGEST_REALM, password: credential.text })
    : undefined;
  await insertEnrollmentSecret(tx, {
    ...secret,
    deviceId: device.id,
    sealedVerifier: sealVerifier(pepper, verifierHash(credential), secretSealContext(secret, device)),
    sealedDigest: digest ? sealVerifier(pepper, digest, digestSealContext(secret, device)) : null,
    pepperVersion: pepper.version,
  });
  return { username: device.id, secret: credential.text, expiresAt };
}

export async function requireDevice(tx: Tx, id: string): Promise<Device> {
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

async function requireGroup(tx: Tx, a: AuthorityContext, id: string | undefined, ownerOrgId: string): Promise<void> {
  if (id === undefined) return;
  const group = isId(id) ? await lockDeviceGroup(tx, id, 'membership') : undefined;
  if (!group || (group.ownerOrgId !== ownerOrgId && group.ownerOrgId !== group.issuerOrgId)) {
    throw new AuthorityError('invalid', 'groupId: no such group for devices of this vendor', { member: 'groupId' });
  }
  await requireActiveGroup(tx, a, id);
}

/** Who is in a suspended or revoked group shares its fate, and neither leaves nor joins it. */
async function requireActiveGroup(tx: Tx, a: AuthorityContext, id: string): Promise<void> {
  const states = [(await latestStatus(tx, 'group', id))?.status, a.follower.index.group(id)?.status];
  for (const state of ['revoked', 'suspended']) {
    if (states.includes(state)) {
      const code = state === 'revoked' ? 'groupRevoked' : 'groupSuspended';
      throw new AuthorityError('conflict', `the group is ${state}; no device joins or leaves it`, { code });
    }
  }
}

/** A revoked device may leave any group: there is nothing that it could escape. */
async function requireMovable(tx: Tx, a: AuthorityContext, device: Device): Promise<void> {
  if (device.groupId === null || a.follower.index.device(device.id)?.status === 'revoked') return;
  await lockDeviceGroup(tx, device.groupId, 'membership');
  await requireActiveGroup(tx, a, device.groupId);
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
