import { failInfoOf, readCmcControls, type CmcControls, type CmcStatusInfo, type PkiData } from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
import {
  contextConstructedTag,
  OID,
  readCertReqMsg,
  readCsr,
  type Certificate,
  type CertificationRequest,
  type SignedMessage,
} from '#pki';
import type { AuthorityContext } from '../context.js';
import { authenticate } from './authenticate/authenticate.js';
import {
  checkCertificateSignature,
  checkOwnSignature,
  oneSigner,
  proveIdentity,
  signerCertificate,
} from './authenticate/full-request-signer.js';
import type { Principal } from './authenticate/principal.js';
import { presentedDigest } from './authenticate/digest.js';
import { presentedSecret } from './authenticate/secret.js';
import { enrollAs } from './enroll.js';
import type { EstRequest } from './est-request.js';
import { recordRefusal } from './record-refusal.js';
import { revokeAsked } from './revoke-asked.js';

/** A full CMC request (RFC 5272 section 3.2), read and not yet believed in anything. */
export type FullRequest = Pick<EstRequest, 'label' | 'presented' | 'address' | 'requestId'> & {
  message: SignedMessage;
  data: PkiData;
  /** Links one of its requests to the connection (RFC 7030 section 3.5); throws where that fails. */
  checkBinding: (challengePassword: string | undefined) => void;
};

/** What a full request came to. */
export interface FullAnswer {
  statuses: CmcStatusInfo[];
  certificates: Buffer[];
  controls: CmcControls;
  /** What the answer as a whole says: the first failure where nothing succeeded. */
  error: AuthorityError | undefined;
  /** Seconds, where something waits for approval and nothing failed. */
  retryAfter: number | undefined;
}

interface Asked {
  bodyPartId: number;
  csr: CertificationRequest | AuthorityError;
}

/**
 * Each request by the one way of every enrollment, then the revocations, each with a status of its own; what concerns all of them (the
 * signature, who asks, a control that is not known) throws. Signed is a full request by the device's current certificate, by that of an
 * RA, or, with one request and a one-time secret, by the key that it asks for. Refusals are audited.
 */
export async function answerFullRequest(a: AuthorityContext, request: FullRequest): Promise<FullAnswer> {
  const { controls, principal, operation, requests } = await recordingFull(a, request, () => begin(a, request));
  const answer: FullAnswer = { statuses: [], certificates: [], controls, error: undefined, retryAfter: undefined };
  for (const { bodyPartId, csr } of requests) {
    await answerPart(a, request, answer, bodyPartId, async () => {
      if (isAuthorityError(csr)) throw csr;
      request.checkBinding(csr.challengePassword);
      const outcome = await enrollAs(a, { ...request, operation, csr }, principal);
      if (outcome.state === 'issued') answer.certificates.push(outcome.certificate);
      return outcome;
    });
  }
  for (const revocation of controls.revocations) {
    await answerPart(a, request, answer, revocation.bodyPartId, async () => {
      await revokeAsked(a, principal, revocation, request.requestId);
      return { state: 'issued' };
    });
  }
  if (answer.statuses.some(({ status }) => status === 'success')) answer.error = undefined;
  return answer;
}

/** Everything that is decided for the whole. */
async function begin(
  a: AuthorityContext,
  request: FullRequest,
): Promise<{ controls: CmcControls; principal: Principal; operation: EstRequest['operation']; requests: Asked[] }> {
  const { data, message } = request;
  const controls = readCmcControls(data);
  if (controls.unknown.length > 0) {
    throw new AuthorityError('invalid', 'the full request has a control that is not known here');
  }
  if (data.requests.length === 0 && controls.revocations.length === 0) {
    throw new AuthorityError('invalid', 'the full request asks for nothing');
  }
  const signer = oneSigner(message);
  const certificate = signerCertificate(message, signer);
  // To read them is to check as many signatures: where a certificate tells who asks, that is asked first.
  const read = () => data.requests.map((one) => ({ bodyPartId: one.bodyPartId, csr: readAsked(one, certificate) }));
  if (certificate) {
    checkCertificateSignature(a, message, signer, certificate, request.presented.peerCertificate());
    const operation = certificate.eku?.includes(OID.cmcRA) === true ? 'simpleenroll' : 'simplereenroll';
    const presented = { basic: undefined, bearer: undefined, peerCertificate: () => certificate.der };
    const principal = await authenticate(a, { ...request, presented, operation });
    return { controls, principal, operation, requests: read() };
  }
  if (data.requests.length !== 1 || controls.revocations.length > 0) {
    throw new AuthorityError(
      'invalid',
      'without a certificate a full request holds exactly one request, and nothing else',
    );
  }
  const requests = read();
  const [asked] = requests;
  if (asked === undefined) throw new AuthorityError('internal', 'a request was not read');
  if (isAuthorityError(asked.csr)) throw asked.csr;
  checkOwnSignature(message, signer, asked.csr);
  return { controls, principal: await bySecret(a, request, controls), operation: 'simpleenroll', requests };
}

async function bySecret(a: AuthorityContext, request: FullRequest, controls: CmcControls): Promise<Principal> {
  const { label, presented, data, address } = request;
  if (!label.authentication.includes('secret')) {
    throw new AuthorityError('unauthenticated', 'sign the full request with the key of a certificate');
  }
  if (presented.digest) return { method: 'secret', presented: presentedDigest(a, presented.digest, address) };
  const secret = presented.basic
    ? presentedSecret(a, presented.basic, address)
    : await proveIdentity(a, controls, data, address);
  return { method: 'secret', presented: secret };
}

/** One that cannot be taken fails for itself. */
function readAsked(one: PkiData['requests'][number], signer: Certificate | undefined): Asked['csr'] {
  try {
    return one.form === 'pkcs10' ? readCsr(one.der, () => signer) : readCertReqMsg(one.der, contextConstructedTag(1));
  } catch (error) {
    if (isAuthorityError(error)) return error;
    throw error;
  }
}

async function answerPart(
  a: AuthorityContext,
  request: FullRequest,
  answer: FullAnswer,
  bodyPartId: number,
  work: () => Promise<{ state: 'issued' } | { state: 'pending'; retryAfter: number }>,
): Promise<void> {
  const status: CmcStatusInfo = {
    status: 'success',
    bodyList: [bodyPartId],
    text: undefined,
    failInfo: undefined,
    pending: undefined,
  };
  answer.statuses.push(status);
  try {
    const outcome = await recordingFull(a, request, work);
    if (outcome.state === 'issued') return;
    const { retryAfter } = outcome;
    status.status = 'pending';
    // The request itself is what it is asked again with (E88): the token says no more than which part it was.
    const time = new Date(a.clock.now().getTime() + retryAfter * 1000);
    status.pending = { token: Buffer.from(String(bodyPartId)), time };
    answer.retryAfter = Math.max(answer.retryAfter ?? 0, retryAfter);
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    status.status = 'failed';
    status.failInfo = failInfoOf(error);
    status.text = error.kind === 'internal' ? undefined : error.detail;
    answer.error ??= error;
  }
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
