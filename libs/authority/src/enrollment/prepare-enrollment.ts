import { createHash } from 'node:crypto';
import { encodeParts } from '#credential';
import { AuthorityError } from '#kernel';
import { canonicalGeneralName } from '#pki';
import { decideCertificate, DEFAULT_LABEL, type CertificateRequest } from '#policy';
import type { Certificate, SubjectPublicKey } from '#pki';
import type { CertificateRow, Device, DeviceStanding, StatusRow } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { checkRequestedNames } from './check-requested-names.js';
import { entitledNames } from './entitled-names.js';
import type { EstRequest } from './est-request.js';
import { prepareIntent, type PreparedIntent } from '../issue.js';

/** How old the index in memory may be where it decides about a certificate. */
const MAX_AGE_MS = 60_000;

/** Neither the log in the database nor the one in memory may say no. Fails closed when memory is not up to date. */
export function checkStanding(a: AuthorityContext, device: Device, standing: DeviceStanding): void {
  a.follower.assertFresh(MAX_AGE_MS);
  for (const objection of standingObjections(a, device, standing)) throw objection;
}

/** What the status of the device, of its group and of the key speaks against, one after the other. */
export function* standingObjections(
  a: AuthorityContext,
  device: Device,
  standing: DeviceStanding,
): Generator<AuthorityError, void, undefined> {
  const { index } = a.follower;
  const states = [
    standing.deviceStatus,
    standing.groupStatus,
    device.status,
    index.device(device.id)?.status,
    device.groupId === null ? undefined : index.group(device.groupId)?.status,
  ];
  if (states.includes('revoked')) yield new AuthorityError('forbidden', 'the device is revoked');
  else if (states.includes('suspended')) yield new AuthorityError('forbidden', 'the device or its group is suspended');
  if (!standing.namesHeld) {
    yield new AuthorityError('forbidden', 'a name of the device is not held any more: its domain or user has ended', {
      code: 'nameNotHeld',
    });
  }
  if (standing.keyBlocked) yield keyBlocked();
}

const keyBlocked = (): AuthorityError =>
  new AuthorityError('forbidden', 'this key may not be certified any more; make a new one', { code: 'keyBlocked' });

/** A request that is repeated gets its certificate back only while that is good. */
export function checkBegun(latest: StatusRow | undefined, replaceable = false): void {
  // Where a repetition gets a new certificate, the one before was ended by an earlier repetition.
  if (replaceable && latest?.reason === 'superseded') return;
  if (latest?.status === 'revoked' || latest?.status === 'onHold') {
    throw new AuthorityError('forbidden', 'the certificate of this request is revoked');
  }
}

/** By whom and with what a device asks for a certificate. */
export interface AskedBy {
  requester: string;
  secretId: string | null;
  current: Certificate | undefined;
  /** DER of the subject by which a third party knows the device. */
  knownAs?: Buffer | undefined;
  /** Whether something that SQL cannot make tells of the same instanceId as the row; default: a secret or certificate does. */
  vouched?: boolean;
}

/** Decides and builds; no database. The names are the registry's, whatever the request wished. */
export async function prepareDeviceIntent(
  a: AuthorityContext,
  request: Pick<EstRequest, 'operation' | 'label' | 'csr'>,
  device: Device,
  by: AskedBy,
): Promise<PreparedIntent> {
  // A secret and a certificate of ours tell the same instanceId as the row.
  const { vouched = by.secretId !== null || by.current !== undefined } = by;
  const asked = askedOf(a, request, device, { ...by, vouched });
  await requireNoCaKey(a, request.csr.publicKey);
  checkRequestedNames(asked.profile, request.csr);
  const { subject, san } = decideCertificate(asked);
  const { profile } = asked;
  return prepareIntent(a, {
    profile,
    issuer: await a.issuers.issuingFor(
      { issuerOrgId: device.issuerOrgId, profile: profile.name, validitySeconds: profile.validitySeconds },
      a.clock.now(),
    ),
    subject,
    san,
    publicKey: request.csr.publicKey,
    deviceId: device.id,
    appId: device.appId,
    releaseId: device.releaseId,
    secretId: by.secretId,
    requestLabel: labelOf(request),
    requester: by.requester,
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  });
}

/** By the CAs that the log announced, whatever somebody took out of the list of blocked keys. */
async function requireNoCaKey(a: AuthorityContext, { sha256 }: SubjectPublicKey): Promise<void> {
  const issuers = await a.issuers.list();
  if (issuers.some(({ publicKey }) => publicKey.sha256.equals(sha256))) throw keyBlocked();
}

/**
 * What the decision is asked: the profile of the label as it is now, and the names of the registry. Throws `forbidden` for a
 * device that is registered for another profile, or has no names for this one.
 */
export function askedOf(
  a: AuthorityContext,
  { label, csr }: Pick<EstRequest, 'label' | 'csr'>,
  device: Device,
  { current, knownAs, vouched }: Pick<AskedBy, 'current' | 'knownAs'> & { vouched: boolean },
): CertificateRequest {
  const profile = currentProfile(a, label.profile);
  if (device.profile !== profile.name) {
    throw new AuthorityError('forbidden', `the device is registered for another profile: enroll at its own label`);
  }
  return {
    profile,
    device: { suspended: false, revoked: false },
    entitled: entitledNames(a, profile, device, vouched),
    csr,
    current,
    missingSan: label.missingSan,
    knownAs,
  };
}

/** Both paths of the default label are one, so that a retry by the other is a retry. */
export const labelOf = ({ operation, label }: Pick<EstRequest, 'operation' | 'label'>): string =>
  `${operation}/${label.name === DEFAULT_LABEL ? '' : label.name}`;

/**
 * E88: principal, label, key and names; never the CSR bytes, since an ECDSA CSR differs on each retry. A key that is made here is
 * another one each time and identifies nothing.
 */
export function requestDigest(requester: string, request: EstRequest): Buffer {
  const names = (request.csr.san ?? []).map(canonicalGeneralName).sort();
  const key = isServerKey(request) ? '' : request.csr.publicKey.sha256.toString('hex');
  const parts = [requester, labelOf(request), key, ...names];
  return createHash('sha256').update(encodeParts(parts)).digest();
}

/** The key of the request is made here: nobody who repeats the request can know it. */
export const isServerKey = ({ operation }: Pick<EstRequest, 'operation'>): boolean => operation === 'serverkeygen';

/** As in `labelOf`, of an intent. */
export const isServerKeyIntent = ({ requestLabel }: { requestLabel: string }): boolean =>
  requestLabel.startsWith('serverkeygen/');

/** What an interrupted request had come to: its intent, signed or not. */
export type Begun = CertificateRow;
