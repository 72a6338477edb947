import { AuthorityError } from '#kernel';
import {
  bindFreeSecret,
  findCertificate,
  latestStatus,
  lockDevice,
  readStanding,
  type IntentRow,
  type SecretEnrollment,
} from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { findSecret, type PresentedSecret } from './authenticate/secret.js';
import { wrongSecret } from './authenticate/wrong-secret.js';
import {
  checkBegun,
  checkStanding,
  isServerKey,
  prepareDeviceIntent,
  requestDigest,
  type Begun,
} from './prepare-enrollment.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { checkRepeatable, enrollAgain } from './lost-answers.js';
import { finishIntent, type PreparedIntent } from '../issue.js';
import { recordBoundIntent, recordIntent } from '../record-intent.js';
import { asksSomebody, awaitApproval, fulfil } from './await-approval.js';

/** Another request, or an operator, may change secret or device between reading and writing: then it is read again. */
const ATTEMPTS = 3;

/** First enrollment by one-time secret: one statement to read, one to record the intent, one to store the certificate. */
export async function enrollBySecret(
  a: AuthorityContext,
  request: EstRequest,
  presented: PresentedSecret,
): Promise<EnrollmentOutcome> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const outcome = await tryOnce(a, request, presented);
    if (outcome) return outcome;
  }
  throw new AuthorityError('unavailable', 'the device is being changed just now; try again', { retryAfter: 1 });
}

async function tryOnce(
  a: AuthorityContext,
  request: EstRequest,
  presented: PresentedSecret,
): Promise<EnrollmentOutcome | undefined> {
  const { secret, device, standing } = await findSecret(a, presented, request.csr.publicKey.sha256);
  const actor: Actor = {
    id: `device:${device.id}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: request.requestId,
  };
  const requester = `secret:${secret.id}`;
  const asked = requestDigest(requester, request);
  const approval = asksSomebody(a, request);
  const begun = await findBegun(a, secret, asked, { replaceable: isServerKey(request), approval });
  checkStanding(a, device, standing);
  const by = { requester, secretId: secret.id, current: undefined };
  if (begun && isServerKey(request)) {
    checkRepeatable(a, begun);
    return enrollAgain(a, actor, request, device, by);
  }
  if (begun) return begun.der ? { state: 'issued', certificate: begun.der } : finish(a, actor, begun);
  const intent = await prepareDeviceIntent(a, request, device, by);
  if (approval) return enrollIfApproved(a, actor, request, { secret, device, requester, asked, intent });
  await a.quotas.take('issuance', device.ownerOrgId, actor);
  const bound = { id: secret.id, request: asked, device };
  const row = await recordBoundIntent(a, actor, intent, bound);
  return row && finish(a, actor, row);
}

/** As it is without approval, but that the intent is recorded only where somebody has said yes. */
async function enrollIfApproved(
  a: AuthorityContext,
  actor: Actor,
  request: EstRequest,
  by: Pick<SecretEnrollment, 'secret' | 'device'> & { requester: string; asked: Buffer; intent: PreparedIntent },
): Promise<EnrollmentOutcome | undefined> {
  const { secret, requester, asked, intent } = by;
  const step = await a.database.transaction(async (tx) => {
    const device = await lockDevice(tx, by.device.id);
    if (!device) throw wrongSecret();
    checkStanding(a, device, await readStanding(tx, device, request.csr.publicKey.sha256));
    const bind = async (): Promise<boolean> => {
      if (secret.expiresAt <= a.clock.now()) throw wrongSecret();
      return bindFreeSecret(tx, secret.id, asked);
    };
    const waiting = await awaitApproval(tx, a, actor, { device, request, requester, digest: asked, bind });
    if (waiting.state !== 'approved') return waiting;
    const row = await recordIntent(tx, a, actor, intent, { id: secret.id, request: asked, device });
    if (!row) return { state: 'taken' as const };
    await fulfil(tx, a, waiting.row, row.serial);
    return { state: 'recorded' as const, row };
  });
  if (step.state === 'recorded') return finish(a, actor, step.row);
  return step.state === 'taken' ? undefined : step;
}

/** By the CA that the intent names: another one may have been activated since. */
async function finish(a: AuthorityContext, actor: Actor, row: IntentRow): Promise<EnrollmentOutcome> {
  const issuer = await a.issuers.require(row.issuerId);
  return { state: 'issued', certificate: await finishIntent(a, actor, row, issuer, null) };
}

/**
 * The state machine of a one-time secret. Free and not expired: go on. Free, but kept for a request that waits for approval:
 * only that one goes on, also past the secret's expiry. Bound or spent: only the same request again, also past the
 * secret's expiry, gets the intent or the certificate it began; any other is refused (EX26).
 */
async function findBegun(
  a: AuthorityContext,
  secret: SecretEnrollment['secret'],
  asked: Buffer,
  { replaceable, approval }: { replaceable: boolean; approval: boolean },
): Promise<Begun | undefined> {
  const now = a.clock.now();
  if (secret.state === 'free') {
    const waits = secret.boundRequest?.equals(asked);
    if (waits === false || (secret.expiresAt <= now && !(waits === true && approval))) throw wrongSecret();
    return undefined;
  }
  const { boundSerial } = secret;
  if (secret.state === 'withdrawn' || !boundSerial || !secret.boundRequest?.equals(asked)) throw wrongSecret();
  return a.database.transaction(async (tx) => {
    const row = await findCertificate(tx, boundSerial);
    if (!row || row.notAfter <= now) throw wrongSecret();
    checkBegun(await latestStatus(tx, 'certificate', boundSerial.toString('hex')), replaceable);
    return row;
  });
}
