import { randomBytes } from 'node:crypto';
import { cmcSharedSecret } from '#credential';
import { checkIdentityProof, type CmcControls, type PkiData } from '#est';
import { addSeconds, AuthorityError } from '#kernel';
import {
  DerReader,
  OID,
  readCertificate,
  verifySigner,
  type Certificate,
  type CertificationRequest,
  type CmsSignerInfo,
  type SignedMessage,
} from '#pki';
import { readSecretEnrollment } from '#store';
import type { AuthorityContext } from '../../context.js';
import { openSecret, type PresentedPassword } from './secret.js';
import { wrongSecret } from './wrong-secret.js';

/** How far the time in a signature may lie from ours, and how long a recorded request can be sent again (E91). */
const SKEW_SECONDS = 600;
const NO_KEY = Buffer.alloc(32);

const badMessage = (why: string): AuthorityError =>
  new AuthorityError('malformed', `the full request ${why}`, { code: 'badMessageCheck' });

/** The one signer of a full request. */
export function oneSigner({ signers }: SignedMessage): CmsSignerInfo {
  const [signer] = signers;
  if (signer === undefined || signers.length > 1) throw badMessage('must have exactly one signer');
  return signer;
}

/** The certificate of the message that the signer names; undefined: it names none that is there. */
export function signerCertificate(message: SignedMessage, signer: CmsSignerInfo): Certificate | undefined {
  return message.certificates
    .map((der) => readCertificate(der))
    .find((one) =>
      signer.subjectKeyId === undefined
        ? one.serial === signer.serial && signer.issuerDer?.equals(one.issuerDer) === true
        : one.subjectKeyId?.equals(signer.subjectKeyId) === true,
    );
}

/**
 * The signature of a full request by a certificate's key. It is of now: by the time in it, or else because the connection was made with
 * the same certificate. Throws `malformed` (code `badMessageCheck`), `invalid` (code `badTime`).
 */
export function checkCertificateSignature(
  a: Pick<AuthorityContext, 'clock'>,
  message: SignedMessage,
  signer: CmsSignerInfo,
  certificate: Certificate,
  connection: Buffer | undefined,
): void {
  if (!verifySigner(message, signer, certificate.publicKey)) throw badMessage('is not signed by the key it names');
  const now = a.clock.now();
  const { signingTime } = signer;
  if (signingTime === undefined) {
    if (connection?.equals(certificate.der) === true) return;
    throw new AuthorityError('invalid', 'the full request needs a signingTime, or a connection with its certificate', {
      code: 'badTime',
    });
  }
  if (signingTime < addSeconds(now, -SKEW_SECONDS) || signingTime > addSeconds(now, SKEW_SECONDS)) {
    throw new AuthorityError('invalid', 'the signingTime of the full request is more than 10 minutes from now', {
      code: 'badTime',
    });
  }
}

/**
 * RFC 5272 section 3.2: without a certificate, the key that is asked for signs, named by the identifier that the request asks for, or where
 * it asks for none by the one that its certificate will have.
 */
export function checkOwnSignature(message: SignedMessage, signer: CmsSignerInfo, csr: CertificationRequest): void {
  const wished = csr.extensions.find(({ oid }) => oid === OID.subjectKeyIdentifier);
  const keyId = wished ? DerReader.open(wished.value, 'subjectKeyIdentifier').octetString() : csr.publicKey.keyId;
  const named = signer.subjectKeyId?.equals(keyId) === true;
  if (!named) throw badMessage('is signed by a certificate that it does not hold');
  if (!verifySigner(message, signer, csr.publicKey)) throw badMessage('is not signed by the key it asks for');
}

/**
 * The one-time secret that an identity proof was computed with: `identification` is the id of the secret, the shared secret what
 * `cmcSharedSecret` makes of it. One amount of work and one text for an unknown and for a wrong one (EX12). Throws `unauthenticated`,
 * `limited`.
 */
export async function proveIdentity(
  a: AuthorityContext,
  { identification, identityProof }: Pick<CmcControls, 'identification' | 'identityProof'>,
  { reqSequence }: Pick<PkiData, 'reqSequence'>,
  address: string,
): Promise<PresentedPassword> {
  if (identityProof === undefined || identification === undefined) {
    throw new AuthorityError(
      'unauthenticated',
      'send identification and identityProofV2 by a one-time secret, or that secret by HTTP Basic',
    );
  }
  const id = /^[0-9A-Za-z]{14}$/.test(identification) ? identification : undefined;
  a.failedAttempts.check(address, id);
  const found = id === undefined ? undefined : await a.database.single((tx) => readSecretEnrollment(tx, id, NO_KEY));
  const verifier = found === undefined ? randomBytes(32) : openSecret(a, found);
  const proved = checkIdentityProof(identityProof, cmcSharedSecret(verifier), identification, reqSequence);
  if (!proved || found === undefined) {
    a.failedAttempts.record(address, id);
    throw wrongSecret();
  }
  return { user: '', id, hash: verifier, address };
}
