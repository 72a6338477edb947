import { createHash } from 'node:crypto';
import { encodeParts } from '#credential';
import { addSeconds, AuthorityError } from '#kernel';
import { countSelfRegistered, findApp, findDeviceIdentity, type DeviceIdentityRow, type Tx } from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { addIdentity, believedIdentity } from '../device-identities.js';
import { createDevice, instanceIdTaken, makeSecret } from '../register-device.js';
import type { Principal } from './authenticate/principal.js';
import { enrollVouched } from './enroll-as.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { claimedInstances } from './named-device.js';

type Manufacturer = Extract<Principal, { method: 'manufacturer' }>;

/** First enrollment by a manufacturer's certificate: of the device that was registered for it, or that it registers. */
export function enrollByManufacturer(
  a: AuthorityContext,
  request: EstRequest,
  principal: Manufacturer,
): Promise<EnrollmentOutcome> {
  const { set, anchor, identity, certificate } = principal;
  return enrollVouched(a, request, {
    find: async (tx) => {
      const row = await findOrRegister(tx, a, request, principal);
      return { deviceId: row.deviceId, requester: `manufacturer:${row.id}`, actor: actorOf(a, request, row.deviceId) };
    },
    approval: set.register === 'approval',
    provedBy: certificate.publicKey.sha256,
    knownAs: certificate.subjectDer,
    detail: { authentication: 'manufacturer', anchors: set.name, anchor, identity },
  });
}

const actorOf = (a: AuthorityContext, { requestId }: EstRequest, deviceId: string): Actor => ({
  id: `device:${deviceId}`,
  organizationId: a.authorityId,
  authority: false,
  requestId,
});

async function findOrRegister(
  tx: Tx,
  a: AuthorityContext,
  request: EstRequest,
  principal: Manufacturer,
): Promise<DeviceIdentityRow> {
  const { set, identity } = principal;
  const wanted = { kind: 'manufacturer', anchors: set.name, value: identity } as const;
  const known = await findDeviceIdentity(tx, wanted);
  if (known) return believe(tx, a, known);
  if (set.register === 'preregistered') {
    throw new AuthorityError('forbidden', 'no device is registered for this certificate', { code: 'notRegistered' });
  }
  const since = addSeconds(a.clock.now(), -60);
  const count = await countSelfRegistered(tx, set.name, since);
  // Of two requests of one device at once, the second has waited for the first just now.
  const made = await findDeviceIdentity(tx, wanted);
  if (made) return believe(tx, a, made);
  if (count >= set.registersPerMinute) {
    throw new AuthorityError('limited', 'too many devices register themselves just now', { retryAfter: 60 });
  }
  return register(tx, a, request, principal);
}

async function believe(tx: Tx, a: AuthorityContext, row: DeviceIdentityRow): Promise<DeviceIdentityRow> {
  const believed = await believedIdentity(tx, a, row);
  if (believed) return believed;
  throw new AuthorityError('forbidden', 'no device is registered for this certificate', { code: 'notRegistered' });
}

/** The device, its identity for ever, and the grant of its first certificate. */
async function register(
  tx: Tx,
  a: AuthorityContext,
  request: EstRequest,
  { set, identity }: Manufacturer,
): Promise<DeviceIdentityRow> {
  const app = await findApp(tx, set.appId);
  if (!app) throw new AuthorityError('forbidden', 'the app of these devices is gone');
  const actor: Actor = {
    id: `manufacturer:${set.name}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: request.requestId,
  };
  const facts = { instanceId: instanceOf(request, set.name, identity), releaseId: null, groupId: null };
  const device = await createDevice(tx, a, actor, app, {
    ...facts,
    profile: request.label.profile,
    names: [],
    nameHolders: [],
  });
  if (!device) throw instanceIdTaken();
  await makeSecret(tx, a, device);
  const named = { kind: 'manufacturer', anchors: set.name, value: identity, automatic: true } as const;
  return addIdentity(tx, a, actor, device, named);
}

/** The UUID that the request claims, or one made of set and identity (RFC 9562 section 5.8), always the same. */
function instanceOf({ csr }: EstRequest, anchors: string, identity: string): string {
  const claimed = claimedInstances(csr);
  if (claimed.length > 1) throw new AuthorityError('invalid', 'subjectAltName: a device has one UUID');
  const [instanceId] = claimed;
  if (instanceId !== undefined) return instanceId;
  const bytes = createHash('sha256')
    .update(encodeParts(['instance', anchors, identity]))
    .digest()
    .subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
