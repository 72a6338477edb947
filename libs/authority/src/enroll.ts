import { createHash } from 'node:crypto';
import { encodeParts } from '#credential';
import { addSeconds, AuthorityError, isAuthorityError } from '#kernel';
import { canonicalGeneralName, type CertificationRequest } from '#pki';
import { decideDevice, profiles } from '#policy';
import {
  findCertificate,
  findRepeated,
  latestStatus,
  lockDevice,
  lockEnrollmentSecret,
  readStanding,
  type CertificateRow,
  type Device,
  type IntentRow,
  type Tx,
} from '#store';
import type { Actor, AuthorityContext } from './context.js';
import {
  authenticateCertificate,
  authenticateSecret,
  revoked,
  VerifiedLeaves,
  wrongSecret,
  type DevicePrincipal,
} from './device-credentials.js';
import { finishIntent, prepareIntent, recordIntent } from './issue.js';
import type { Issuer } from './issuer-directory.js';
import { auditFailedAuthentication } from './operator-access.js';
import { auditRefusal } from './refusal.js';

export interface EstRequest {
  operation: 'simpleenroll' | 'simplereenroll';
  label: string | undefined;
  csr: CertificationRequest;
  basic: { user: string; password: string } | undefined;
  /** DER of the certificate that the TLS connection was made with. */
  peerCertificate: Buffer | undefined;
  address: string;
  requestId: string;
}

/** E91: for so long a repeated request gets the same certificate. */
const REPEAT_SECONDS = 600;

const verifiedLeaves = new WeakMap<AuthorityContext, VerifiedLeaves>();

/**
 * The whole of one enrollment, first or renewal: authenticate, decide, record the intent, sign, store. Returns the DER of
 * the certificate. A request that was interrupted anywhere is resumed by being sent again: the same secret, or the same
 * certificate, with the same key and names ends with the same certificate.
 * Throws `unauthenticated`, `forbidden`, `malformed`, `invalid`, `limited`, `unavailable`; refusals are audited.
 */
export async function enrollOverEst(a: AuthorityContext, request: EstRequest): Promise<Buffer> {
  try {
    const principal = await authenticate(a, request);
    const actor: Actor = {
      id: `device:${principal.deviceId}`,
      organizationId: a.authorityId,
      authority: false,
      requestId: request.requestId,
    };
    const issuer = await a.issuers.issuing();
    const intent = await a.database.transaction((tx) => openIntent(tx, a, actor, principal, request, issuer));
    if (intent.der) return intent.der;
    const supersedes = principal.kind === 'certificate' ? principal.row.serial : null;
    return await finishIntent(a, actor, intent, issuer, supersedes);
  } catch (error) {
    if (isAuthorityError(error)) await recordRefusal(a, { ...request, claimedUser: request.basic?.user, error });
    throw error;
  }
}

/**
 * For refusals, also those before a request could be read. Nothing is written while the database is down; of one address
 * not more than the failed authentications it may have in a minute, so that no flood of bad requests becomes one of rows.
 */
export async function recordRefusal(
  a: AuthorityContext,
  refused: { address: string; requestId: string; operation: string; claimedUser?: string | undefined; error: AuthorityError },
): Promise<void> {
  const { error } = refused;
  if (error.kind === 'unavailable' || error.kind === 'internal' || error.kind === 'limited') return;
  if (!a.failedAttempts.mayRecordRefusal(refused.address)) return;
  if (error.kind === 'unauthenticated') await auditFailedAuthentication(a, refused, refused.operation);
  const actor: Actor = {
    id: `anonymous:${refused.address}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: refused.requestId,
  };
  // A user name may be anything, even a secret typed into the wrong field: only what looks like a device id is kept.
  const claimed = refused.claimedUser !== undefined && /^[0-9a-f-]{36}$/.test(refused.claimedUser);
  await auditRefusal(a, actor, {
    action: 'certificate.requested',
    subject: claimed ? `device:${refused.claimedUser}` : 'device:unknown',
    error,
    detail: { operation: refused.operation },
  });
}

async function authenticate(a: AuthorityContext, request: EstRequest): Promise<DevicePrincipal> {
  if (request.operation === 'simpleenroll') {
    if (!request.basic) throw new AuthorityError('unauthenticated', 'send device id and one-time secret by HTTP Basic');
    return authenticateSecret(a, request.basic, request.address);
  }
  if (!request.peerCertificate) {
    throw new AuthorityError('unauthenticated', 're-enrollment needs the current certificate in the TLS handshake');
  }
  const leaves = verifiedLeaves.get(a) ?? new VerifiedLeaves();
  verifiedLeaves.set(a, leaves);
  return authenticateCertificate(a, leaves, request.peerCertificate);
}

type OpenIntent = IntentRow & { der: Buffer | null };

/** Everything that decides, in one transaction with the device locked: what comes back is committed before it is signed. */
async function openIntent(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  principal: DevicePrincipal,
  request: EstRequest,
  issuer: Issuer,
): Promise<OpenIntent> {
  const device = await lockDevice(tx, principal.deviceId);
  if (!device) throw new AuthorityError('forbidden', 'the device is not registered');
  const asked = requestDigest(principal, request);
  const begun =
    principal.kind === 'secret'
      ? await resumeSecret(tx, a, principal.secretId, asked)
      : await resumeRenewal(tx, a, principal.row, request);
  await checkStanding(tx, a, device, request.csr, begun);
  if (begun) return begun;
  const decision = decideDevice({
    profile: profiles(a.lifetimes).device,
    device: { id: device.id, instanceId: device.instanceId, suspended: false, revoked: false },
    csr: request.csr,
    current: principal.kind === 'certificate' ? principal.certificate : undefined,
  });
  const prepared = prepareIntent(a, {
    profile: profiles(a.lifetimes).device,
    issuer,
    ...decision,
    publicKey: request.csr.publicKey,
    deviceId: device.id,
    appId: device.appId,
    releaseId: device.releaseId,
    secretId: principal.kind === 'secret' ? principal.secretId : null,
    requestLabel: labelOf(request),
    requester: requesterOf(principal),
    ownerOrgId: device.ownerOrgId,
    issuerOrgId: device.issuerOrgId,
  });
  const secret = principal.kind === 'secret' ? { id: principal.secretId, request: asked } : null;
  const row = await recordIntent(tx, a, actor, prepared, secret);
  if (!row) throw wrongSecret();
  return { ...row, der: null };
}

/**
 * The state machine of a one-time secret. Free and not expired: go on. Bound or spent: only the same request again, also
 * past the secret's expiry, gets the intent or the certificate it began; any other is refused (EX26).
 */
async function resumeSecret(
  tx: Tx,
  a: AuthorityContext,
  secretId: string,
  asked: Buffer,
): Promise<CertificateRow | undefined> {
  const secret = await lockEnrollmentSecret(tx, secretId);
  if (!secret || secret.state === 'withdrawn') throw wrongSecret();
  if (secret.state === 'free') {
    if (secret.expiresAt <= a.clock.now()) throw wrongSecret();
    return undefined;
  }
  if (!secret.boundSerial || !secret.boundRequest?.equals(asked)) throw wrongSecret();
  const row = await findCertificate(tx, secret.boundSerial);
  if (!row || row.notAfter <= a.clock.now()) throw wrongSecret();
  return row;
}

async function resumeRenewal(
  tx: Tx,
  a: AuthorityContext,
  current: CertificateRow,
  request: EstRequest,
): Promise<CertificateRow | undefined> {
  const latest = await latestStatus(tx, 'certificate', current.serial.toString('hex'));
  if (latest?.status === 'revoked' || latest?.status === 'onHold') throw revoked();
  return findRepeated(tx, {
    deviceId: current.deviceId ?? '',
    requester: `certificate:${current.serial.toString('hex')}`,
    label: labelOf(request),
    spkiSha256: request.csr.publicKey.sha256,
    since: addSeconds(a.clock.now(), -REPEAT_SECONDS),
  });
}

/** Invariant 10 and the other way: neither log nor memory may say no. Fails closed when memory is not up to date. */
async function checkStanding(
  tx: Tx,
  a: AuthorityContext,
  device: Device,
  csr: CertificationRequest,
  begun: CertificateRow | undefined,
): Promise<void> {
  a.follower.assertFresh(60_000);
  const standing = await readStanding(tx, device, csr.publicKey.sha256);
  const index = a.follower.index;
  const states = [
    standing.deviceStatus,
    standing.groupStatus,
    device.status,
    index.device(device.id)?.status,
    device.groupId === null ? undefined : index.group(device.groupId)?.status,
  ];
  if (states.includes('revoked')) throw new AuthorityError('forbidden', 'the device is revoked');
  if (states.includes('suspended')) throw new AuthorityError('forbidden', 'the device or its group is suspended');
  if (standing.keyBlocked) {
    throw new AuthorityError('forbidden', 'this key may not be certified any more; make a new one', { code: 'keyBlocked' });
  }
  if (!begun) return;
  const latest = await latestStatus(tx, 'certificate', begun.serial.toString('hex'));
  if (latest?.status === 'revoked' || latest?.status === 'onHold') {
    throw new AuthorityError('forbidden', 'the certificate of this request is revoked');
  }
}

const labelOf = (request: EstRequest): string => `${request.operation}/${request.label ?? ''}`;

const requesterOf = (principal: DevicePrincipal): string =>
  principal.kind === 'secret' ? `secret:${principal.secretId}` : `certificate:${principal.certificate.serial}`;

/** E88: principal, label, key and names; never the CSR bytes, since an ECDSA CSR differs on each retry. */
function requestDigest(principal: DevicePrincipal, request: EstRequest): Buffer {
  const names = (request.csr.san ?? []).map(canonicalGeneralName).sort();
  const parts = [requesterOf(principal), labelOf(request), request.csr.publicKey.sha256.toString('hex'), ...names];
  return createHash('sha256').update(encodeParts(parts)).digest();
}
