import { addSeconds, AuthorityError, wholeSecond } from '#kernel';
import { makeCertId } from '#pki';
import {
  findAgingOcspAnswers,
  findOcspAnswer,
  findSerial,
  latestStatus,
  markDone,
  storeOcspAnswer,
  type KnownSerial,
  type StoredOcspAnswer,
} from '#store';
import { certStatus, signOcspAnswer } from './ocsp-answer.js';
import type { PublishedIssuer, Publisher } from './publisher.js';

const HASHES = ['sha1', 'sha256'] as const;
const REFRESH_BLOCK = 500;

/** A log followed longer ago says nothing about now. */
export const MAX_LOG_AGE_MS = 60_000;

/** `current`: what stands published already says all there is; `unknown`: no such serial, no certificate to it, or none that is told of. */
export type OcspPublication = 'published' | 'current' | 'unknown';

/**
 * Signs and stores the answer about one certificate for both CertID hashes (O22). Does nothing where the stored ones know
 * its last change and are younger than their renew age. `serial`: lower-case hex. Throws `unavailable` when the log
 * cannot be followed or the issuer has no delegate just now.
 */
export async function publishOcspAnswer(
  p: Publisher,
  issuers: readonly PublishedIssuer[],
  serial: string,
): Promise<OcspPublication> {
  const bytes = Buffer.from(serial, 'hex');
  const { known, change, stored } = await p.database.transaction(async (tx) => ({
    known: await findSerial(tx, bytes),
    change: await latestStatus(tx, 'certificate', serial),
    stored: [await findOcspAnswer(tx, bytes, 'sha1'), await findOcspAnswer(tx, bytes, 'sha256')],
  }));
  const issuer = issuers.find(({ id }) => id === known?.issuerId);
  const seq = change?.seq ?? 0;
  const renewBefore = addSeconds(p.clock.now(), -p.lifetimes.ocspRenew);
  const current = stored.every((answer) => isCurrent(answer, seq, renewBefore));
  // X28: of a certificate without revocation service nothing is said to anybody.
  if (!known?.published || issuer === undefined || current) {
    await p.database.transaction((tx) => markDone(tx, 'ocsp.wanted', serial, seq));
    return current ? 'current' : 'unknown';
  }
  await p.follower.catchUp(seq);
  const answers = signBoth(p, issuer, known, serial);
  await p.database.transaction(async (tx) => {
    for (const answer of answers) await storeOcspAnswer(tx, answer);
    await markDone(tx, 'ocsp.wanted', serial, seq);
  });
  return answers.length === 0 ? 'unknown' : 'published';
}

/** Signs anew what is older than the renew age, until nothing is left or `limit` is reached. Returns how many serials. */
export async function refreshOcspAnswers(
  p: Publisher,
  issuers: readonly PublishedIssuer[],
  limit: number,
): Promise<number> {
  let count = 0;
  while (count < limit) {
    const before = addSeconds(p.clock.now(), -p.lifetimes.ocspRenew);
    const aging = await p.database.transaction((tx) =>
      findAgingOcspAnswers(tx, before, Math.min(REFRESH_BLOCK, limit - count)),
    );
    for (const serial of aging) await publishOcspAnswer(p, issuers, serial.toString('hex'));
    count += aging.length;
    if (aging.length < REFRESH_BLOCK) break;
  }
  return count;
}

function isCurrent(answer: StoredOcspAnswer | undefined, seq: number, renewBefore: Date): boolean {
  return answer !== undefined && answer.seq >= seq && answer.thisUpdate > renewBefore;
}

function signBoth(p: Publisher, issuer: PublishedIssuer, known: KnownSerial, serial: string): StoredOcspAnswer[] {
  const { lastSync, index } = p.follower;
  p.follower.assertFresh(MAX_LOG_AGE_MS);
  const status = certStatus(index.certificate(serial), known);
  const thisUpdate = lastSync && wholeSecond(lastSync);
  const delegate = thisUpdate && p.delegates.current(issuer.id, thisUpdate);
  if (status === undefined || thisUpdate === undefined || delegate === undefined) {
    throw new AuthorityError('unavailable', 'the OCSP answer cannot be signed just now; it is tried again', {
      retryAfter: 5,
    });
  }
  if (status.status === 'unknown') return [];
  return HASHES.map((hash) => {
    const certId = makeCertId(hash, issuer.subjectDer, issuer.publicKey, serial);
    const responses = [{ certId, status }];
    const answer = signOcspAnswer(delegate, {
      responses,
      thisUpdate,
      lifetime: p.lifetimes.ocspNextUpdate,
      nonce: undefined,
    });
    return { serial: known.serial, hash, seq: index.seq, ...answer };
  });
}
