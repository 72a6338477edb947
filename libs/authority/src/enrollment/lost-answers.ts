import { addSeconds, AuthorityError } from '#kernel';
import {
  findNewestSecret,
  latestStatuses,
  lockDevice,
  lockUnexpiredOfDevices,
  readStanding,
  type Device,
  type Tx,
} from '#store';
import { certificateAudit, revocation } from '../certificates.js';
import { logStatus } from '../change-status.js';
import type { Actor, AuthorityContext } from '../context.js';
import { finishIntent } from '../issue.js';
import { recordIntent } from '../record-intent.js';
import { wrongSecret } from './authenticate/wrong-secret.js';
import { requireKey } from './await-approval.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { sameBinding } from '../names/device-binding.js';
import { checkStanding, prepareDeviceIntent, type Begun } from './prepare-enrollment.js';

/** For so long a secret that is spent gets another key in place of one that was lost on its way (E91, E109). */
const REPEAT_SECONDS = 600;

/** Throws `unavailable` while the first request is still being answered, `unauthenticated` when it is too long ago. */
export function checkRepeatable(a: Pick<AuthorityContext, 'clock'>, begun: Begun): void {
  if (begun.state === 'issuing') {
    throw new AuthorityError('unavailable', 'an earlier request of this device is still being answered; try again', {
      code: 'requestInProgress',
      retryAfter: 5,
    });
  }
  if (begun.createdAt < addSeconds(a.clock.now(), -REPEAT_SECONDS)) throw wrongSecret();
}

/**
 * The request was sent again because its answer was lost, and the private key with it: another key gets another certificate, and what
 * was issued before to the same requester by the same operation is revoked as superseded (E109).
 */
export async function enrollAgain(
  a: AuthorityContext,
  actor: Actor,
  request: EstRequest,
  device: Device,
  by: { requester: string; secretId: string; current: undefined },
): Promise<EnrollmentOutcome> {
  requireKey(request);
  const intent = await prepareDeviceIntent(a, request, device, by);
  await a.quotas.take('issuance', device.ownerOrgId, actor);
  const { row, seq } = await a.database.transaction(async (tx) => {
    const locked = await lockDevice(tx, device.id);
    if (!locked) throw new AuthorityError('forbidden', 'the device is not registered');
    if (!sameBinding(locked, device)) {
      throw new AuthorityError('unavailable', 'the device is being changed just now; try again', { retryAfter: 1 });
    }
    checkStanding(a, locked, await readStanding(tx, locked, request.csr.publicKey.sha256));
    // A reset grants another first certificate: the secret of the one before makes no more keys.
    if ((await findNewestSecret(tx, device.id))?.id !== by.secretId) throw wrongSecret();
    const recorded = await recordIntent(tx, a, actor, intent);
    if (!recorded) throw new AuthorityError('internal', 'the intent was not recorded');
    return { row: recorded, seq: await endLostAnswers(tx, a, actor, recorded) };
  });
  await a.follower.catchUp(seq);
  const issuer = await a.issuers.require(row.issuerId);
  return { state: 'issued', certificate: await finishIntent(a, actor, row, issuer, null) };
}

/**
 * Revokes what the same requester got by the same operation before: he asks again, so he does not have its key. The last thing of the
 * transaction, with the device locked. Returns the seq of the log, 0 for nothing.
 */
export async function endLostAnswers(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  made: { serial: Buffer; deviceId: string | null; requester: string; requestLabel: string },
): Promise<number> {
  if (made.deviceId === null) return 0;
  const at = a.clock.now();
  const rows = (await lockUnexpiredOfDevices(tx, [made.deviceId], at)).filter(
    (row) =>
      row.requester === made.requester &&
      row.requestLabel === made.requestLabel &&
      row.state !== 'abandoned' &&
      !row.serial.equals(made.serial),
  );
  const serials = rows.map((row) => row.serial.toString('hex'));
  const latest = await latestStatuses(tx, 'certificate', serials);
  const live = rows.filter((row) => latest.get(row.serial.toString('hex'))?.status !== 'revoked');
  if (live.length === 0) return 0;
  const change = { status: 'revoked', reason: 'superseded', at, invalidityDate: null };
  return logStatus(
    tx,
    a,
    actor,
    at,
    live.map((row) =>
      certificateAudit(row, 'certificate.revoked', {
        reason: 'superseded',
        supersededBy: made.serial.toString('hex'),
      }),
    ),
    live.map((row) => revocation(row, latest.get(row.serial.toString('hex')), change)),
  );
}
