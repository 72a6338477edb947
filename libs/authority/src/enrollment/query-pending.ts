import { AuthorityError, isAuthorityError } from '#kernel';
import { contextConstructedTag, readCertReqMsg, readCsr, type Certificate, type CertificationRequest } from '#pki';
import { checkRowMac, pendingEnrollmentMac } from '#status';
import {
  findCertificate,
  findDevice,
  findPendingEnrollment,
  isId,
  latestStatus,
  readSecretEnrollment,
  readStanding,
  type PendingEnrollmentRow,
} from '#store';
import type { AuthorityContext } from '../context.js';
import { checkOwnSignature, oneSigner } from './authenticate/full-request-signer.js';
import type { Principal } from './authenticate/principal.js';
import { openSecret } from './authenticate/secret.js';
import type { FullSigner } from './open-full-request.js';
import { enrollAs } from './enroll.js';
import type { EnrollmentOutcome, EnrollingOperation } from './est-request.js';
import type { FullRequest } from './full-request.js';
import { checkBegun, checkStanding, labelOf, requestDigest } from './prepare-enrollment.js';

/** What a client asks again with: it says nothing, and is worth nothing to anybody else. */
export const pendingToken = (waiting: string): Buffer => Buffer.from(waiting);

/**
 * What has become of a request that waited (RFC 5272 section 6.13), asked for by whoever asked first: by the same certificate, or by a
 * signature of the key that is asked for. It is decided as if the request itself had come again. One answer, `invalid`, for a token that
 * there is not and one of somebody else.
 */
export async function queryPending(
  a: AuthorityContext,
  request: FullRequest,
  token: Buffer,
  signer: FullSigner | undefined,
): Promise<EnrollmentOutcome> {
  a.failedAttempts.check(request.address);
  const found = await findAsked(a, request, token, signer);
  if (found === undefined) {
    a.failedAttempts.record(request.address);
    throw new AuthorityError('invalid', 'nothing that you have asked for waits under this token', {
      code: 'pendingUnknown',
    });
  }
  const { row, csr, principal, operation } = found;
  const certificate = await fetched(a, row);
  if (certificate) return { state: 'issued', certificate };
  const { label, presented, address, requestId } = request;
  const again = { operation, label, csr, presented, address, requestId };
  if (!isOpen(a, row) || !requestDigest(row.requester, again).equals(row.request)) {
    throw new AuthorityError('invalid', 'what waited under this token has ended: send the request itself again', {
      code: 'pendingEnded',
    });
  }
  return enrollAs(a, again, principal);
}

interface AskedBefore {
  row: PendingEnrollmentRow;
  csr: CertificationRequest;
  principal: Principal;
  operation: EnrollingOperation;
}

async function findAsked(
  a: AuthorityContext,
  request: FullRequest,
  token: Buffer,
  signer: FullSigner | undefined,
): Promise<AskedBefore | undefined> {
  const id = token.toString('latin1');
  const row = isId(id) ? await a.database.single((tx) => findPendingEnrollment(tx, id)) : undefined;
  if (!row) return undefined;
  checkRowMac(row.mac, pendingEnrollmentMac(a.macKey, row), `pending enrollment ${row.id}`);
  const operation = (['simpleenroll', 'simplereenroll'] as const).find(
    (one) => labelOf({ operation: one, label: request.label }) === row.requestLabel,
  );
  if (operation === undefined || row.csr === null) return undefined;
  const csr = readAgain(row.csr, signer?.current.certificate);
  const principal = await (signer === undefined ? bySameKey(a, request, row, csr) : bySameCertificate(row, signer));
  // What the label took when it was asked for, it may take no longer.
  const taken = principal !== undefined && request.label.authentication.includes(principal.method);
  return taken ? { row, csr, principal, operation } : undefined;
}

function readAgain(der: Buffer, signer: Certificate | undefined): CertificationRequest {
  const crmf = contextConstructedTag(1);
  return der[0] === crmf ? readCertReqMsg(der, crmf) : readCsr(der, () => signer);
}

function bySameCertificate({ requester }: PendingEnrollmentRow, { kind, current }: FullSigner): Principal | undefined {
  if (requester === `certificate:${current.certificate.serial}`) return { method: 'certificate', current };
  const asRa = `ra:${current.deviceId}`;
  const byRa = kind === 'ra' && (requester === asRa || requester.startsWith(`${asRa}:`));
  return byRa ? { method: 'ra', ra: current } : undefined;
}

/** Who asked by the one-time secret proved to know it then; that it is he who asks now, the key shows that he asked for. */
async function bySameKey(
  a: AuthorityContext,
  { message, address }: FullRequest,
  { requester }: PendingEnrollmentRow,
  csr: CertificationRequest,
): Promise<Principal | undefined> {
  const [kind, id] = requester.split(':');
  if (kind !== 'secret' || id === undefined || !isSignedBy(csr, message)) return undefined;
  const found = await a.database.single((tx) => readSecretEnrollment(tx, id, csr.publicKey.sha256));
  if (found === undefined) return undefined;
  return { method: 'secret', presented: { user: '', id, hash: openSecret(a, found), address } };
}

function isSignedBy(csr: CertificationRequest, message: FullRequest['message']): boolean {
  try {
    checkOwnSignature(message, oneSigner(message), csr);
    return true;
  } catch (error) {
    if (isAuthorityError(error)) return false;
    throw error;
  }
}

const isOpen = (a: Pick<AuthorityContext, 'clock'>, { state, expiresAt }: PendingEnrollmentRow): boolean =>
  expiresAt > a.clock.now() && state !== 'expired' && state !== 'withdrawn';

/** The certificate that it came to, while that is good and nothing speaks against its device. */
async function fetched(a: AuthorityContext, row: PendingEnrollmentRow): Promise<Buffer | undefined> {
  const { serial, deviceId, spkiSha256 } = row;
  if (row.state !== 'done' || serial === null) return undefined;
  return a.database.transaction(async (tx) => {
    const certificate = await findCertificate(tx, serial);
    if (!certificate?.der || certificate.notAfter <= a.clock.now()) return undefined;
    checkBegun(await latestStatus(tx, 'certificate', serial.toString('hex')));
    const device = await findDevice(tx, deviceId);
    if (!device) return undefined;
    checkStanding(a, device, await readStanding(tx, device, spkiSha256));
    return certificate.der;
  });
}
