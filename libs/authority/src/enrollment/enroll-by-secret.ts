import { AuthorityError } from '#kernel';
import { findCertificate, latestStatus, readSecretEnrollment, type IntentRow, type SecretEnrollment } from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { checkSecret, wrongSecret, type PresentedSecret } from './authenticate/secret.js';
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
import { finishIntent, recordIntent } from '../issue.js';

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
  const { id } = presented;
  const spki = request.csr.publicKey.sha256;
  const found = id === undefined ? undefined : await a.database.single((tx) => readSecretEnrollment(tx, id, spki));
  const { secret, device, standing } = checkSecret(a, presented, found);
  const actor: Actor = {
    id: `device:${device.id}`,
    organizationId: a.authorityId,
    authority: false,
    requestId: request.requestId,
  };
  const requester = `secret:${secret.id}`;
  const asked = requestDigest(requester, request);
  const begun = await findBegun(a, secret, asked, isServerKey(request));
  checkStanding(a, device, standing);
  const by = { requester, secretId: secret.id, current: undefined };
  if (begun && isServerKey(request)) {
    checkRepeatable(a, begun);
    return enrollAgain(a, actor, request, device, by);
  }
  if (begun) return begun.der ? { state: 'issued', certificate: begun.der } : finish(a, actor, begun);
  const intent = await prepareDeviceIntent(a, request, device, by);
  await a.quotas.take('issuance', device.ownerOrgId, actor);
  const bound = { id: secret.id, request: asked, deviceMac: device.mac };
  const row = await a.database.single((tx) => recordIntent(tx, a, actor, intent, bound));
  return row && finish(a, actor, row);
}

/** By the CA that the intent names: another one may have been activated since. */
async function finish(a: AuthorityContext, actor: Actor, row: IntentRow): Promise<EnrollmentOutcome> {
  const issuer = await a.issuers.require(row.issuerId);
  return { state: 'issued', certificate: await finishIntent(a, actor, row, issuer, null) };
}

/**
 * The state machine of a one-time secret. Free and not expired: go on. Bound or spent: only the same request again, also
 * past the secret's expiry, gets the intent or the certificate it began; any other is refused (EX26).
 */
async function findBegun(
  a: AuthorityContext,
  secret: SecretEnrollment['secret'],
  asked: Buffer,
  replaceable: boolean,
): Promise<Begun | undefined> {
  const now = a.clock.now();
  if (secret.state === 'free') {
    if (secret.expiresAt <= now) throw wrongSecret();
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
