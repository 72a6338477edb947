import { AuthorityError } from '#kernel';
import {
  findApp,
  findDevice,
  findDeviceOfInstance,
  findRelease,
  isId,
  latestStatus,
  lockUnexpiredOfDevices,
  type Device,
  type Release,
  type Tx,
} from '#store';
import { effectiveStatus, readKeyStanding } from '../change-key.js';
import type { Actor, AuthorityContext } from '../context.js';
import { createDevice, instanceIdTaken, makeSecret } from '../register-device.js';
import { wrongKey, type EnrollingKey } from './authenticate/api-key.js';
import { enrolledAlready, enrollVouched } from './enroll-as.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { namedDevice } from './named-device.js';

/**
 * First enrollment by an API key, of a device of the app that the key was issued for: one that is registered, or one that
 * registers by it where the label says so. Many hold such a key, so that it takes over no device: one that has a good
 * certificate keeps it, also where a reset has granted another.
 */
export function enrollByKey(a: AuthorityContext, request: EstRequest, by: EnrollingKey): Promise<EnrollmentOutcome> {
  const { key } = by;
  const actor: Actor = {
    id: `key:${key.id}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: request.requestId,
  };
  return enrollVouched(a, request, {
    find: async (tx) => {
      await requireGood(tx, a, by);
      const device = await findOrRegister(tx, a, actor, request, by);
      return { deviceId: device.id, requester: `apiKey:${key.id}`, actor };
    },
    admit: (tx, device) => refuseWhereGood(tx, a, device),
    approval: false,
    provedBy: undefined,
    knownAs: undefined,
    detail: { authentication: 'apiKey', key: key.id },
  });
}

/** Asked again where it is decided: the log of the database may know more than the one in memory. */
async function requireGood(tx: Tx, a: AuthorityContext, { key }: EnrollingKey): Promise<void> {
  const { status, endsAt } = await readKeyStanding(tx, a, key.id);
  const now = effectiveStatus({ status, endsAt, expiresAt: key.expiresAt }, a.clock.now());
  if (now !== 'active' && now !== 'retiring') throw wrongKey();
}

async function findOrRegister(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  request: EstRequest,
  by: EnrollingKey,
): Promise<Device> {
  const release = await findRelease(tx, by.key.releaseId);
  if (!release) throw new AuthorityError('forbidden', 'the release of this API key is gone');
  const asked = askedDevice(request, by.user);
  const device = (await lookUp(tx, asked)) ?? (await register(tx, a, actor, request, release, asked.instanceId));
  const user = asked.user;
  const named = user === undefined || user === device?.id || user === device?.instanceId;
  // One answer for a device that is not there and for one of another app.
  if (device?.appId !== release.appId || !named) {
    throw new AuthorityError('forbidden', 'no such device of the app of this API key', { code: 'notRegistered' });
  }
  return device;
}

interface Asked {
  instanceId?: string | undefined;
  id?: string | undefined;
  /** As the user name says it. */
  user?: string | undefined;
}

/** By what the request says; the user name may say the same, or say it alone. */
function askedDevice({ csr }: EstRequest, user: string): Asked {
  const named: Asked | undefined = namedDevice(csr);
  const lower = user.toLowerCase();
  const given = isId(lower) ? lower : undefined;
  if (user !== '' && given === undefined) {
    throw new AuthorityError('invalid', 'the user name must be empty, a device id or an instanceId');
  }
  if (named === undefined) {
    if (given === undefined) {
      throw new AuthorityError('invalid', 'the request must name its device: urn:uuid or CN=<device id>');
    }
    return { instanceId: given, id: given, user: given };
  }
  return { ...named, user: given };
}

async function lookUp(tx: Tx, { instanceId, id }: Asked): Promise<Device | undefined> {
  const byInstance = instanceId === undefined ? undefined : await findDeviceOfInstance(tx, instanceId);
  return byInstance ?? (id === undefined ? undefined : findDevice(tx, id));
}

/** Only by the UUID that it claims, which no other device has. Its release is the key's. */
async function register(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  { label, csr }: EstRequest,
  release: Pick<Release, 'id' | 'appId'>,
  instanceId: string | undefined,
): Promise<Device | undefined> {
  if (!label.registers || instanceId === undefined || namedDevice(csr)?.instanceId === undefined) return undefined;
  const app = await findApp(tx, release.appId);
  if (!app) return undefined;
  const facts = {
    instanceId,
    releaseId: release.id,
    groupId: null,
    profile: label.profile,
    names: [],
    nameHolders: [],
  };
  const made = await createDevice(tx, a, actor, app, facts);
  if (made) {
    await makeSecret(tx, a, made);
    return made;
  }
  // Of two requests of one device at once, the second has waited for the first just now.
  const other = await findDeviceOfInstance(tx, instanceId);
  if (other?.appId !== release.appId) throw instanceIdTaken();
  return other;
}

/** Throws `forbidden` where the device has a certificate that is not revoked: nobody takes it over. */
export async function refuseWhereGood(tx: Tx, a: AuthorityContext, device: Device): Promise<void> {
  for (const row of await lockUnexpiredOfDevices(tx, [device.id], a.clock.now())) {
    if (row.state === 'abandoned') continue;
    const serial = row.serial.toString('hex');
    const states = [a.follower.index.certificate(serial), await latestStatus(tx, 'certificate', serial)];
    if (!states.some((one) => one?.status === 'revoked')) throw enrolledAlready();
  }
}
