import { failedStatus, type CmcControls, type CmcStatusInfo, type PkiData } from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
import { readCertificate, type SignedMessage } from '#pki';
import type { AuthorityContext } from '../context.js';
import { enrollAs } from './enroll.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { openFullRequest, type OpenedRequest } from './open-full-request.js';
import { pendingToken, queryPending } from './query-pending.js';
import { recordRefusal } from './record-refusal.js';
import { acceptanceOf, revokeAsked } from './revoke-asked.js';

/** A full CMC request (RFC 5272 section 3.2), read and not yet believed in anything. */
export type FullRequest = Pick<EstRequest, 'label' | 'presented' | 'address' | 'requestId'> & {
  message: SignedMessage;
  data: PkiData;
  /**
   * Links one of its requests to the connection (RFC 7030 section 3.5); throws where the label wants a link and there is none, gives back
   * why a link that there is does not hold.
   */
  linkFailure: (challengePassword: string | undefined) => AuthorityError | undefined;
};

/** What a full request came to. */
export interface FullAnswer {
  statuses: CmcStatusInfo[];
  /** Those that were issued, then the CAs above them. */
  certificates: Buffer[];
  controls: CmcControls;
  /** What the answer as a whole says: the first failure where nothing succeeded. */
  error: AuthorityError | undefined;
  /** Seconds, where something waits for approval and nothing failed. */
  retryAfter: number | undefined;
}

/**
 * Each request by the one way of every enrollment, then queries, revocations and confirmations, each with a status of its own; what
 * concerns all of them (the signature, who asks, a control that is not known) throws. Signed is a full request by the device's current
 * certificate, by that of an RA, or, with one request and a one-time secret, by the key that it asks for. Refusals are audited.
 */
export async function answerFullRequest(a: AuthorityContext, request: FullRequest): Promise<FullAnswer> {
  const opened = await recordingFull(a, request, () => openFullRequest(a, request));
  const { controls } = opened;
  const answer: FullAnswer = { statuses: [], certificates: [], controls, error: undefined, retryAfter: undefined };
  for (const { bodyPartId, csr } of opened.requests) {
    await answerPart(a, request, answer, bodyPartId, async () => {
      const outcome = await enrollPart(a, request, opened, csr);
      return outcome.state === 'issued' ? outcome : { ...outcome, token: pendingToken(outcome.waiting) };
    });
  }
  for (const { bodyPartId, token } of controls.queries) {
    // What still waits is told without pendInfo, which would have to be what it was at first (section 6.13).
    await answerPart(a, request, answer, bodyPartId, () => queryPending(a, request, token, opened.signer));
  }
  await answerAboutOwn(a, request, answer, opened);
  if (answer.statuses.some(({ status }) => status === 'success')) answer.error = undefined;
  answer.certificates.push(...(await issuersOf(a, answer.certificates)));
  return answer;
}

async function enrollPart(
  a: AuthorityContext,
  request: FullRequest,
  { askerOf }: OpenedRequest,
  csr: OpenedRequest['requests'][number]['csr'],
): Promise<EnrollmentOutcome> {
  if (isAuthorityError(csr)) throw csr;
  const { label, presented, address, requestId } = request;
  const unlinked = request.linkFailure(csr.challengePassword);
  const one = { label, csr, presented, unlinked, address, requestId };
  const { principal, operation } = await askerOf(one);
  return enrollAs(a, { ...one, operation }, principal);
}

/** Only with a certificate is there anything of one's own. */
async function answerAboutOwn(
  a: AuthorityContext,
  request: FullRequest,
  answer: FullAnswer,
  { controls, signer }: OpenedRequest,
): Promise<void> {
  if (signer === undefined) return;
  for (const revocation of controls.revocations) {
    await answerPart(a, request, answer, revocation.bodyPartId, () =>
      revokeAsked(a, signer.current, revocation, request.requestId),
    );
  }
  for (const acceptance of controls.acceptances) {
    await answerPart(a, request, answer, acceptance.bodyPartId, () => acceptanceOf(a, signer.current, acceptance));
  }
}

type PartOutcome =
  { state: 'issued'; certificate: Buffer } | { state: 'pending'; retryAfter: number; token?: Buffer } | undefined;

async function answerPart(
  a: AuthorityContext,
  request: FullRequest,
  answer: FullAnswer,
  bodyPartId: number,
  work: () => Promise<PartOutcome | void>,
): Promise<void> {
  try {
    const outcome = await recordingFull(a, request, work);
    answer.statuses.push(statusOf(a, bodyPartId, outcome ?? undefined));
    if (outcome?.state === 'issued') answer.certificates.push(outcome.certificate);
    if (outcome?.state === 'pending') answer.retryAfter = Math.max(answer.retryAfter ?? 0, outcome.retryAfter);
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    answer.statuses.push(failedStatus(error, [bodyPartId]));
    answer.error ??= error;
  }
}

function statusOf({ clock }: AuthorityContext, bodyPartId: number, outcome: PartOutcome): CmcStatusInfo {
  const waits = outcome?.state === 'pending';
  return {
    status: waits ? 'pending' : 'success',
    bodyList: [bodyPartId],
    text: undefined,
    failInfo: undefined,
    pending:
      waits && outcome.token
        ? { token: outcome.token, time: new Date(clock.now().getTime() + outcome.retryAfter * 1000) }
        : undefined,
  };
}

/** RFC 5272 section 4.2: what leads from what was issued to a root, without the root. */
async function issuersOf(a: AuthorityContext, issued: readonly Buffer[]): Promise<Buffer[]> {
  if (issued.length === 0) return [];
  const issuers = await a.issuers.list();
  const path = issued.flatMap((der) => {
    const { authorityKeyId } = readCertificate(der);
    const issuer = issuers.find(({ publicKey }) => authorityKeyId?.equals(publicKey.keyId));
    return issuer === undefined ? [] : [issuer, ...issuer.above];
  });
  return [...new Set(path.filter(({ kind }) => kind !== 'root').map(({ certificate }) => certificate))];
}

async function recordingFull<T>(a: AuthorityContext, request: FullRequest, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAuthorityError(error)) {
      const { address, requestId, message, presented } = request;
      const [certificate] = message.certificates;
      const claimedUser = presented.digest?.user ?? presented.basic?.user;
      await recordRefusal(a, {
        operation: 'fullcmc',
        address,
        requestId,
        claimedUser,
        peerCertificate: certificate,
        error,
      });
    }
    throw error;
  }
}
