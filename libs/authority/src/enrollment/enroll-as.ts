import { AuthorityError } from '#kernel';
import {
  bindFreeSecret,
  findCertificate,
  findNewestSecret,
  latestStatus,
  lockDevice,
  readStanding,
  type CertificateRow,
  type Device,
  type EnrollmentSecret,
  type IntentRow,
  type Tx,
} from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { finishIntent } from '../issue.js';
import { recordIntent } from '../record-intent.js';
import { asksSomebody, awaitApproval, fulfil, type Waiting } from './await-approval.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { openSecret } from './authenticate/secret.js';
import { checkBegun, checkStanding, prepareDeviceIntent, requestDigest } from './prepare-enrollment.js';

/** Somebody who is known by other means than a secret, for a device that may have a first certificate. */
export interface Vouched {
  /**
   * The device, found or made, and who asks for it. In the transaction that records the intent: what is made here goes
   * with a refusal. `requester` stands in the intent and matches repeated requests.
   */
  find: (tx: Tx) => Promise<{ deviceId: string; requester: string; actor: Actor }>;
  /** What else stands against a first certificate, asked where none was begun. Throws `forbidden`. */
  admit?: (tx: Tx, device: Device) => Promise<void>;
  /** Somebody has to approve, whatever label and profile say. */
  approval: boolean;
  /** SHA-256 of the key by which the request was proved, where it was by one: it must not be blocked either. */
  provedBy: Buffer | undefined;
  /** DER of the subject by which others know the device: a request may name it too. */
  knownAs: Buffer | undefined;
  /** By what it was recognized, for the audit entry of the intent. */
  detail: Readonly<Record<string, string>>;
}

/** What is committed before anything is signed. */
type Open =
  { state: 'recorded'; row: IntentRow; der: Buffer | null; actor: Actor } | Exclude<Waiting, { state: 'approved' }>;

/**
 * First enrollment of a device that does not show its secret. Registration, or a reset, grants one first certificate: the
 * secret stands for that grant and is bound and spent, whoever comes first. So no certificate of a manufacturer, no
 * fingerprint, no API key and no registration authority takes over a device that has enrolled.
 */
export async function enrollVouched(a: AuthorityContext, request: EstRequest, by: Vouched): Promise<EnrollmentOutcome> {
  const open = await a.database.transaction((tx) => openIntent(tx, a, request, by));
  if (open.state === 'pending') return open;
  if (open.state === 'taken') {
    throw new AuthorityError('unavailable', 'the device is being changed just now; try again', { retryAfter: 1 });
  }
  const { row, der, actor } = open;
  if (der) return { state: 'issued', certificate: der };
  const issuer = await a.issuers.require(row.issuerId);
  return { state: 'issued', certificate: await finishIntent(a, actor, row, issuer, null) };
}

/** Everything that decides, in one transaction with the device locked: what comes back is committed before it is signed. */
async function openIntent(tx: Tx, a: AuthorityContext, request: EstRequest, by: Vouched): Promise<Open> {
  const { deviceId, requester, actor } = await by.find(tx);
  const device = await lockDevice(tx, deviceId);
  if (!device) throw new AuthorityError('forbidden', 'the device is not registered');
  checkStanding(a, device, await readStanding(tx, device, request.csr.publicKey.sha256));
  if (by.provedBy) checkStanding(a, device, await readStanding(tx, device, by.provedBy));
  const digest = requestDigest(requester, request);
  const grant = await requireGrant(tx, a, device);
  const begun = await findBegun(tx, a, grant, digest);
  if (begun) return { state: 'recorded', row: begun, der: begun.der, actor };
  await by.admit?.(tx, device);
  const intent = await prepareDeviceIntent(a, request, device, {
    requester,
    secretId: grant.id,
    current: undefined,
    knownAs: by.knownAs,
  });
  const bind = () => bindFreeSecret(tx, grant.id, digest);
  const approved =
    by.approval || asksSomebody(a, request)
      ? await awaitApproval(tx, a, actor, { device, request, requester, digest, bind })
      : undefined;
  if (approved && approved.state !== 'approved') return approved;
  if (!approved) await a.quotas.take('issuance', device.ownerOrgId, actor);
  const row = await recordIntent(tx, a, actor, intent, { id: grant.id, request: digest, device }, by.detail);
  if (!row) return { state: 'taken' };
  if (approved) await fulfil(tx, a, approved.row, row.serial);
  return { state: 'recorded', row, der: null, actor };
}

/** The secret that was made last. It must be ours: a row that SQL made free is none. */
async function requireGrant(tx: Tx, a: AuthorityContext, device: Device): Promise<EnrollmentSecret> {
  const secret = await findNewestSecret(tx, device.id);
  if (!secret || secret.state === 'withdrawn') throw enrolledAlready();
  openSecret(a, { secret, device });
  return secret;
}

/** Free, and kept for no other request: go on, also past the end of the secret, which limits a secret. Else only the same request again goes on. */
async function findBegun(
  tx: Tx,
  a: AuthorityContext,
  { state, boundSerial, boundRequest }: EnrollmentSecret,
  asked: Buffer,
): Promise<CertificateRow | undefined> {
  if (state === 'free') {
    // It may be kept for a request that waits for approval.
    if (boundRequest && !boundRequest.equals(asked)) throw enrolledAlready();
    return undefined;
  }
  if (!boundSerial || !boundRequest?.equals(asked)) throw enrolledAlready();
  const row = await findCertificate(tx, boundSerial);
  if (!row || row.notAfter <= a.clock.now()) throw enrolledAlready();
  checkBegun(await latestStatus(tx, 'certificate', boundSerial.toString('hex')));
  return row;
}

export const enrolledAlready = (): AuthorityError =>
  new AuthorityError('forbidden', 'the device has enrolled already: renew its certificate, or have it reset', {
    code: 'enrolledAlready',
  });
