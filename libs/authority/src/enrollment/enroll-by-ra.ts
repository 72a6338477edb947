import { addSeconds, AuthorityError } from '#kernel';
import { OID } from '#pki';
import {
  findCertificate,
  findDevice,
  findDeviceOfInstance,
  findNewestIssued,
  findNewestSecret,
  latestStatus,
  readStanding,
  type CertificateRow,
  type Device,
  type Tx,
} from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import {
  authenticateCertificate,
  REPEAT_SECONDS,
  revoked,
  type DeviceCertificate,
} from './authenticate/own-certificate.js';
import { enrollVouched } from './enroll-as.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { namedDevice } from './named-device.js';
import { checkStanding, labelOf, requestDigest } from './prepare-enrollment.js';
import { renewCertificate } from './renew.js';

/**
 * By a registration authority, for a device that is registered and of the same organizations (RFC 7030 section 3.7). A
 * renewal is of the certificate that the device got last, since the one of the connection is the RA's (E85).
 */
export async function enrollByRa(
  a: AuthorityContext,
  request: EstRequest,
  ra: DeviceCertificate,
): Promise<EnrollmentOutcome> {
  const actor: Actor = {
    id: `ra:${ra.deviceId}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: request.requestId,
  };
  if (request.operation === 'simplereenroll') {
    const current = await authenticateCertificate(a, await findCurrent(a, request, ra), 'renewal');
    return renewCertificate(a, request, current, {
      actor,
      requester: `${actor.id}:${current.certificate.serial}`,
      check: async (tx) => void (await requireDeviceOf(tx, a, request, ra)),
    });
  }
  return enrollVouched(a, request, {
    find: async (tx) => ({ deviceId: (await requireDeviceOf(tx, a, request, ra)).id, requester: actor.id, actor }),
    approval: false,
    provedBy: ra.certificate.publicKey.sha256,
    knownAs: undefined,
    detail: { authentication: 'ra', ra: ra.deviceId, raCertificate: ra.certificate.serial },
  });
}

/**
 * What a request by an RA is, where the message does not say it (RFC 5272 knows no other operation than to ask for a certificate): the
 * first while the grant of the device is free, or was used by this very request, else a renewal. Throws `forbidden`, `invalid`.
 */
export async function operationByRa(
  a: AuthorityContext,
  request: Omit<EstRequest, 'operation'>,
  ra: DeviceCertificate,
): Promise<'simpleenroll' | 'simplereenroll'> {
  const first: EstRequest = { ...request, operation: 'simpleenroll' };
  return a.database.transaction(async (tx) => {
    const { id } = await requireDeviceOf(tx, a, first, ra);
    const grant = await findNewestSecret(tx, id);
    const digest = requestDigest(`ra:${ra.deviceId}`, first);
    return grant?.state === 'free' || grant?.boundRequest?.equals(digest) === true ? 'simpleenroll' : 'simplereenroll';
  });
}

/**
 * One answer for a device that is not there and one that is not of the RA's organizations. None of them becomes a registration
 * authority by it, nor gets another key as one: who took one RA over would go on as the other when the first is revoked.
 */
async function requireDeviceOf(
  tx: Tx,
  a: AuthorityContext,
  request: EstRequest,
  ra: DeviceCertificate,
): Promise<Device> {
  if (currentProfile(a, request.label.profile).eku.includes(OID.cmcRa)) {
    throw new AuthorityError(
      'forbidden',
      'a registration authority enrolls for no other: it asks itself, by its own secret or certificate',
    );
  }
  const latest = await latestStatus(tx, 'certificate', ra.certificate.serial);
  if (latest?.status === 'revoked' || latest?.status === 'onHold') throw revoked();
  const own = await findDevice(tx, ra.deviceId);
  if (!own) throw new AuthorityError('forbidden', 'the registration authority is not registered');
  checkStanding(a, own, await readStanding(tx, own, ra.certificate.publicKey.sha256));
  const named = namedDevice(request.csr);
  if (!named) throw new AuthorityError('invalid', 'the request must name its device: urn:uuid or CN=<device id>');
  const device = await (named.instanceId === undefined
    ? findDevice(tx, named.id ?? '')
    : findDeviceOfInstance(tx, named.instanceId));
  if (device?.ownerOrgId === own.ownerOrgId && device.issuerOrgId === own.issuerOrgId) return device;
  throw new AuthorityError('forbidden', 'no such device of the organization of this registration authority');
}

/** DER of what is renewed. A request that is repeated renews what it renewed before, which is not the newest any more. */
async function findCurrent(a: AuthorityContext, request: EstRequest, ra: DeviceCertificate): Promise<Buffer> {
  return a.database.transaction(async (tx) => {
    const device = await requireDeviceOf(tx, a, request, ra);
    const newest = await findNewestIssued(tx, device.id, request.label.profile);
    const repeats = newest && renewedBy(a, request, ra, newest);
    const current = repeats === undefined ? newest : await findCertificate(tx, Buffer.from(repeats, 'hex'));
    if (current?.der) return current.der;
    throw new AuthorityError('forbidden', 'the device has no certificate that could be renewed');
  });
}

/** Serial of what this RA renewed by the same request just now. */
function renewedBy(
  a: AuthorityContext,
  request: EstRequest,
  ra: DeviceCertificate,
  newest: CertificateRow,
): string | undefined {
  const [kind, id, serial] = newest.requester.split(':');
  const same =
    kind === 'ra' &&
    id === ra.deviceId &&
    newest.requestLabel === labelOf(request) &&
    newest.spkiSha256.equals(request.csr.publicKey.sha256) &&
    newest.createdAt >= addSeconds(a.clock.now(), -REPEAT_SECONDS);
  return same ? serial : undefined;
}
