import { createHash } from 'node:crypto';
import { encodeParts } from '#credential';
import { AuthorityError } from '#kernel';
import { canonicalGeneralName } from '#pki';
import { decideDevice, DEFAULT_LABEL } from '#policy';
import type { Certificate, SubjectPublicKey } from '#pki';
import type { CertificateRow, Device, DeviceStanding, StatusRow } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { entitledNames } from './entitled-names.js';
import type { EstRequest } from './est-request.js';
import { prepareIntent, type PreparedIntent } from '../issue.js';

/** How old the index in memory may be where it decides about a certificate. */
const MAX_AGE_MS = 60_000;

/** Neither the log in the database nor the one in memory may say no. Fails closed when memory is not up to date. */
export function checkStanding(a: AuthorityContext, device: Device, standing: DeviceStanding): void {
  a.follower.assertFresh(MAX_AGE_MS);
  const { index } = a.follower;
  const states = [
    standing.deviceStatus,
    standing.groupStatus,
    device.status,
    index.device(device.id)?.status,
    device.groupId === null ? undefined : index.group(device.groupId)?.status,
  ];
  if (states.includes('revoked')) throw new AuthorityError('forbidden', 'the device is revoked');
  if (states.includes('suspended')) throw new AuthorityError('forbidden', 'the device or its group is suspended');
  if (standing.keyBlocked) throw keyBlocked();
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

/** Decides and builds; no database. The names are the registry's, whatever the request wished. */
export async function prepareDeviceIntent(
  a: AuthorityContext,
  request: EstRequest,
  device: Device,
  by: { requester: string; secretId: string | null; current: Certificate | undefined; knownAs?: Buffer | undefined },
): Promise<PreparedIntent> {
  const profile = currentProfile(a, request.label.profile);
  if (device.profile !== profile.name) {
    throw new AuthorityError('forbidden', `the device is registered for another profile: enroll at its own label`);
  }
  await requireNoCaKey(a, request.csr.publicKey);
  const decision = decideDevice({
    profile,
    device: { suspended: false, revoked: false },
    entitled: entitledNames(profile, device),
    csr: request.csr,
    current: by.current,
    knownAs: by.knownAs,
  });
  return prepareIntent(a, {
    profile,
    issuer: await a.issuers.issuingFor(
      { issuerOrgId: device.issuerOrgId, profile: profile.name, validitySeconds: profile.validitySeconds },
      a.clock.now(),
    ),
    ...decision,
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

/** Both paths of the default label are one, so that a retry by the other is a retry. */
export const labelOf = ({ operation, label }: EstRequest): string =>
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
