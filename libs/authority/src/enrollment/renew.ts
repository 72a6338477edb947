import { addSeconds, AuthorityError } from '#kernel';
import {
  findRepeated,
  latestStatus,
  lockDevice,
  lockOpenOfDevice,
  readStanding,
  type CertificateRow,
  type IntentRow,
  type Tx,
} from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { asksSomebody, awaitApproval, fulfil, type Asked, type Waiting } from './await-approval.js';
import { REPEAT_SECONDS, revoked, supersededSince, type DeviceCertificate } from './authenticate/own-certificate.js';
import { requireLateRenewal, useLateRenewal } from './late-renewal.js';
import { endLostAnswers } from './lost-answers.js';
import {
  checkBegun,
  checkStanding,
  isServerKey,
  labelOf,
  prepareDeviceIntent,
  requestDigest,
} from './prepare-enrollment.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { finishIntent } from '../issue.js';
import { recordIntent } from '../record-intent.js';

/** Who asks for a renewal, where that is not the device itself. */
export interface Renewer {
  actor: Actor;
  requester: string;
  /** In the transaction that decides: what stands against the one who asks. */
  check: (tx: Tx) => Promise<void>;
}

/**
 * Re-enrollment with the device's own certificate. The one it renews names its successor; whether it stays good is the
 * profile's to say.
 */
export async function renewCertificate(
  a: AuthorityContext,
  request: EstRequest,
  current: DeviceCertificate,
  by: Renewer = itself(a, request, current),
): Promise<EnrollmentOutcome> {
  const { actor } = by;
  const opened = await a.database.transaction((tx) => openIntent(tx, a, by, current, request));
  if ('state' in opened) return opened;
  const { intent, seq } = opened;
  if (seq > 0) await a.follower.catchUp(seq);
  if (intent.der) return { state: 'issued', certificate: intent.der };
  const issuer = await a.issuers.require(intent.issuerId);
  // A key that cannot sign is a second one: what proves it goes on.
  const supersedes = request.csr.possession === undefined ? current.row.serial : null;
  return { state: 'issued', certificate: await finishIntent(a, actor, intent, issuer, supersedes) };
}

/** Everything that decides, in one transaction with the device locked: what comes back is committed before it is signed. */
async function openIntent(
  tx: Tx,
  a: AuthorityContext,
  by: Renewer,
  current: DeviceCertificate,
  request: EstRequest,
): Promise<{ intent: IntentRow & { der: Buffer | null }; seq: number } | Extract<Waiting, { state: 'pending' }>> {
  const { actor, requester } = by;
  await by.check(tx);
  const device = await lockDevice(tx, current.deviceId);
  if (!device) throw new AuthorityError('forbidden', 'the device is not registered');
  const latest = await latestStatus(tx, 'certificate', current.row.serial.toString('hex'));
  const ended = latest?.status === 'revoked' || latest?.status === 'onHold';
  if (ended && !supersededSince(a, current.row.profile, latest)) throw revoked();
  const begun = await findBegun(tx, a, current, request, requester);
  // What a renewal has superseded gets the answer of that renewal again, and nothing new.
  if (ended && !begun?.der) throw revoked();
  checkStanding(a, device, await readStanding(tx, device, request.csr.publicKey.sha256));
  if (begun) return { intent: begun, seq: 0 };
  // Of a device that got another profile, what had ended by then was not revoked: it is no way past that profile's approval.
  if (current.row.profile !== request.label.profile) {
    throw new AuthorityError('forbidden', 'the client certificate is of another profile: have the device reset');
  }
  const late = await requireLateRenewal(tx, a, request.label.profile, current);
  const intent = await prepareDeviceIntent(a, request, device, {
    requester,
    secretId: null,
    current: current.certificate,
  });
  const approved = await approvalOf(tx, a, actor, { device, request, requester });
  if (approved?.state === 'pending') return approved;
  if (!approved) await a.quotas.take('issuance', device.ownerOrgId, actor);
  const row = await recordIntent(tx, a, actor, intent);
  if (!row) throw new AuthorityError('internal', 'the intent was not recorded');
  if (approved) await fulfil(tx, a, approved.row, row.serial);
  if (late) await useLateRenewal(tx, a, actor, late, row.serial);
  const seq = isServerKey(request) ? await endLostAnswers(tx, a, actor, row) : 0;
  return { intent: { ...row, der: null }, seq };
}

/** E82: other names are a new identity, which is approved where a first one is. Undefined: nobody is asked. */
async function approvalOf(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  asked: Pick<Asked, 'device' | 'request' | 'requester'>,
): Promise<Exclude<Waiting, { state: 'taken' }> | undefined> {
  const { request, requester } = asked;
  if (request.csr.changeSubjectName === undefined || !asksSomebody(a, request)) return undefined;
  const digest = requestDigest(requester, request);
  // One at a time: a device that asks with ever new keys does not fill what its organization may have waiting.
  const bind = async (): Promise<boolean> => (await lockOpenOfDevice(tx, asked.device.id)).length === 0;
  const waiting = await awaitApproval(tx, a, actor, { ...asked, digest, bind });
  if (waiting.state !== 'taken') return waiting;
  throw new AuthorityError('limited', 'another request of this device waits for approval', {
    code: 'tooMany',
    retryAfter: 3600,
  });
}

async function findBegun(
  tx: Tx,
  a: AuthorityContext,
  current: DeviceCertificate,
  request: EstRequest,
  requester: string,
): Promise<CertificateRow | undefined> {
  const begun = await findRepeated(tx, {
    deviceId: current.deviceId,
    requester,
    label: labelOf(request),
    spkiSha256: request.csr.publicKey.sha256,
    since: addSeconds(a.clock.now(), -REPEAT_SECONDS),
  });
  if (begun) checkBegun(await latestStatus(tx, 'certificate', begun.serial.toString('hex')));
  return begun;
}

const itself = (a: AuthorityContext, request: EstRequest, current: DeviceCertificate): Renewer => ({
  actor: {
    id: `device:${current.deviceId}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: request.requestId,
  },
  requester: requesterOf(current, request.csr),
  check: () => Promise.resolve(),
});

/** Whoever reconciles the intent reads here what the certificate takes the place of: that of the first form, nothing by the second. */
export const requesterOf = (
  { certificate }: DeviceCertificate,
  csr: Partial<Pick<EstRequest['csr'], 'possession'>> = {},
): string => `${csr.possession === undefined ? 'certificate' : 'possession'}:${certificate.serial}`;
