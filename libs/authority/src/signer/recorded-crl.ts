import { createHash } from 'node:crypto';
import { isAuthorityError } from '#kernel';
import { assembleCrl, readCrl, signatureAlgorithm, type CertificateList } from '#pki';
import { readCrlNumbers } from '#store';
import type { Issuer } from '../hierarchy.js';
import { crlUri } from '../issuer-directory.js';
import { overtaken, refusal, type SignerContext } from './signer-context.js';

/** How far the clock of the publisher may be from this one. */
const CLOCK_SECONDS = 300;

/** The last CRL signed under each name by this process. */
export type SignedNumbers = Map<string, { number: number; sha256: Buffer }>;

/**
 * Checks that the message is the CRL of this name and no other structure: of this issuer and key, numbered above what
 * stands published and not above what was given out, made now and ending within the lifetime in force. A number is signed
 * once. The list itself is not derived again: whether it lacks an entry is the publisher's gate to see, and a second look
 * through a million entries would double the time to publish. Same errors as `recordedCertificate`.
 */
export async function checkCrl(
  s: SignerContext,
  of: { artifactId: string; keyId: string; message: Buffer },
  signed: SignedNumbers,
): Promise<void> {
  const [, issuerId, shard] = /^crl\/([0-9a-f-]{36})(?:\/(0|[1-9]\d{0,3}))?\.crl$/.exec(of.artifactId) ?? [];
  const issuer = issuerId === undefined ? undefined : await s.issuers.find(issuerId);
  if (issuer === undefined) throw refusal('it is the CRL of no issuer that was announced');
  if (issuer.caKeyId !== of.keyId) throw refusal('the key is not the one of the issuer');
  const crl = read(of.message, issuer);
  const problem = findProblem(s, crl, issuer, shard);
  if (problem !== undefined) throw refusal(problem);
  const number = Number(crl.number);
  const scope = { issuerId: issuer.id, scope: shard ?? 'full', name: of.artifactId };
  const { reserved, published } = await s.database.transaction((tx) => readCrlNumbers(tx, scope));
  if (number > reserved) throw refusal('its number was never given out');
  const last = signed.get(of.artifactId);
  const sha256 = createHash('sha256').update(of.message).digest();
  if (last?.number === number && !last.sha256.equals(sha256)) throw refusal('another CRL of this number was signed');
  if (number <= published || number < (last?.number ?? 0)) throw overtaken('another publisher was faster');
  signed.set(of.artifactId, { number, sha256 });
}

function read(tbs: Buffer, issuer: Issuer): CertificateList {
  try {
    return readCrl(assembleCrl(tbs, signatureAlgorithm(issuer.publicKey.keyType).der, Buffer.alloc(8)));
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    throw refusal('it is no CRL, or not for this kind of key');
  }
}

function findProblem(
  s: SignerContext,
  crl: CertificateList,
  issuer: Issuer,
  shard: string | undefined,
): string | undefined {
  const now = s.clock.now().getTime();
  const lifetime = issuer.kind === 'root' ? s.lifetimes.rootCrlNextUpdate : s.lifetimes.crlNextUpdate;
  if (!crl.issuerDer.equals(issuer.subjectDer)) return 'it names another issuer';
  if (crl.authorityKeyId?.equals(issuer.publicKey.keyId) !== true) return 'it names another key';
  if (crl.unusable !== undefined) return crl.unusable;
  const point = shard === undefined ? undefined : crlUri(issuer, Number(shard));
  if (crl.distributionPoint !== point) return 'it names another distribution point';
  if (Math.abs(crl.thisUpdate.getTime() - now) > CLOCK_SECONDS * 1000) return 'its thisUpdate is not now';
  const end = crl.nextUpdate?.getTime() ?? Infinity;
  if (end > now + (lifetime + CLOCK_SECONDS) * 1000) return 'its nextUpdate is later than any of ours';
  return crl.number === undefined ? 'it has no number' : undefined;
}
