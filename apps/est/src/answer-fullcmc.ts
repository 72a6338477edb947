import { randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { answerFullRequest, recordRefusal, type AuthorityContext, type FullAnswer } from '#authority';
import {
  cmcResponse,
  decodeBody,
  encodePkiResponse,
  failedStatus,
  noControls,
  readCmcControls,
  readPkiData,
  type CmcControls,
  type EstResponse,
  type LineForm,
  type PkiData,
} from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
import { contentInfo, encodeSignedData, OID, readSignedData, type SignedMessage } from '#pki';
import type { EstLabel } from '#policy';
import { addressOf } from './arrival.js';
import { challengesOf } from './challenges.js';
import { checkLink, requireLink } from './check-link.js';
import { sendEst } from './est-routes.js';
import { arrivedBy, presentedBy } from './presented.js';
import type { ServerSigner } from './server-signer.js';

const NONCE_OCTETS = 16;

/** RFC 7030 section 4.3: a full CMC request, answered in CMC whatever comes of it (E131). */
export async function answerFullCmc(
  authority: AuthorityContext,
  server: ServerSigner,
  label: EstLabel,
  request: FastifyRequest,
  reply: FastifyReply,
  form: LineForm,
): Promise<FastifyReply> {
  // A response to the challenge of Digest answers a nonce, which only the challenge has.
  const send = (response: EstResponse, error: unknown): FastifyReply =>
    sendEst(reply, response, response.status === 401 && label.digest ? challengesOf(authority, label, error) : {});
  let data: PkiData | undefined;
  try {
    const message = readMessage(request);
    data = readPkiData(message.content);
    const { socket, address } = arrivedBy(request);
    const presented = presentedBy(request, label);
    request.refusalAudited = true;
    const answer = await answerFullRequest(authority, {
      label,
      message,
      data,
      presented,
      linkFailure: (challengePassword) => {
        requireLink(label, challengePassword);
        return linkFailure(socket, label, challengePassword);
      },
      address,
      requestId: request.id,
    });
    return send(cmcResponse(sign(authority, server, answer), form, answer), answer.error);
  } catch (error) {
    // What is not ours to tell goes the way of every error: logged, and as a line that tells nothing.
    if (!isAuthorityError(error) || error.kind === 'internal') throw error;
    await auditUnread(authority, request, error);
    return send(cmcResponse(sign(authority, server, refusal(error, data)), form, { error }), error);
  }
}

/** Only PKIData in SignedData: a bare PKCS#10 is for simpleenroll (RFC 7030 section 4.3.1). */
function readMessage(request: FastifyRequest): SignedMessage {
  const type = request.headers['content-type'] ?? '';
  if (/;\s*smime-type\s*=/i.test(type) && !/;\s*smime-type\s*=\s*"?CMC-request"?\s*(?:;|$)/i.test(type)) {
    throw new AuthorityError('unsupportedType', 'The body must be of smime-type CMC-request');
  }
  const message = readSignedData(decodeBody(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)));
  if (message.contentType === OID.pkiData) return message;
  throw new AuthorityError('malformed', 'The SignedData holds something else than PKIData');
}

async function auditUnread(authority: AuthorityContext, request: FastifyRequest, error: AuthorityError): Promise<void> {
  if (request.refusalAudited) return;
  request.refusalAudited = true;
  const { id: requestId } = request;
  const address = addressOf(request);
  await recordRefusal(authority, { operation: 'fullcmc', address, requestId, error });
}

/** Who may hand over what is linked to another connection, the use case knows. */
function linkFailure(...link: Parameters<typeof checkLink>): AuthorityError | undefined {
  try {
    checkLink(...link);
    return undefined;
  } catch (error) {
    if (isAuthorityError(error, 'invalid')) return error;
    throw error;
  }
}

/** One status for the whole of it: body part 0, or the parts that the error names. */
function refusal(error: AuthorityError, data: PkiData | undefined): Omit<FullAnswer, 'error' | 'retryAfter'> {
  return { statuses: [failedStatus(error, [0])], certificates: [], controls: readable(data) };
}

/** What was sent to be given back is given back, as far as it can be read. */
function readable(data: PkiData | undefined): CmcControls {
  const wanted: readonly string[] = [OID.cmcTransactionId, OID.cmcSenderNonce, OID.cmcDataReturn];
  const controls = data?.controls.filter(({ type }) => wanted.includes(type)) ?? [];
  try {
    return readCmcControls({ controls });
  } catch {
    return noControls();
  }
}

function sign(
  authority: AuthorityContext,
  server: ServerSigner,
  { statuses, certificates, controls }: Pick<FullAnswer, 'statuses' | 'certificates' | 'controls'>,
): Buffer {
  const content = encodePkiResponse({
    statuses,
    transactionId: controls.transactionId,
    senderNonce: randomBytes(NONCE_OCTETS),
    recipientNonce: controls.senderNonce,
    dataReturn: controls.dataReturn,
  });
  const signed = { contentType: OID.pkiResponse, content, signer: server.signer, signingTime: authority.clock.now() };
  return contentInfo(OID.signedData, encodeSignedData({ ...signed, certificates: [...certificates, ...server.chain] }));
}
