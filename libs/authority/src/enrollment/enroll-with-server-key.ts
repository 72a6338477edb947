import { AuthorityError } from '#kernel';
import { encodePrivateKey, type CertificationRequest, type KeyRequest, type KeyType } from '#pki';
import { findNewestSecret } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { authenticate } from './authenticate/authenticate.js';
import type { Principal } from './authenticate/principal.js';
import { findSecret } from './authenticate/secret.js';
import { wrongSecret } from './authenticate/wrong-secret.js';
import { approvedKeyType, asksSomebody } from './await-approval.js';
import { enrollAs, recordingRefusals } from './enroll.js';
import type { EstRequest } from './est-request.js';
import { chooseDelivery, type KeyDelivery } from './key-delivery.js';
import { keyTypeToMake, makeKey } from './key-maker.js';
import { requestDigest } from './prepare-enrollment.js';
import { requesterOf } from './renew.js';
import { sampleKey } from './sample-key.js';

export type ServerKeyRequest = Omit<EstRequest, 'csr' | 'operation' | 'keyToCome'> & { asked: KeyRequest };

export interface ServerKey {
  state: 'issued';
  certificate: Buffer;
  /** PKCS#8. It exists nowhere else; who sends it zeroes it. */
  pkcs8: Buffer;
  /** How it is to be encrypted; undefined: TLS alone protects it, since nothing else was asked for. */
  delivery: KeyDelivery | undefined;
}

/** `retryAfter` in seconds (E87). */
export type ServerKeyOutcome = ServerKey | { state: 'pending'; retryAfter: number };

const NO_KEY = Buffer.alloc(32);

/**
 * A key made here and its certificate (RFC 7030 section 4.4), by the one way of every enrollment. Who asks, whether the key can be
 * encrypted as wanted, and whether somebody has approved where that is needed, is known before any key is made: what waits has none. A
 * repeated request gets another key, and the certificate of the answer that was lost is revoked (E109). Throws as `enrollOverEst`;
 * `invalid`, code `unknownKeyId` or `noSharedWrap`, for an encryption that cannot be.
 */
export function enrollWithServerKey(a: AuthorityContext, request: ServerKeyRequest): Promise<ServerKeyOutcome> {
  const { asked, ...rest } = request;
  const enrollment = { ...rest, operation: 'serverkeygen' as const };
  return recordingRefusals(a, enrollment, async () => {
    const principal = await authenticate(a, enrollment);
    const owner = await ownerOf(a, principal);
    const delivery = await chooseDelivery(a, asked, owner.deviceId);
    const wanted = keyTypeToMake(currentProfile(a, request.label.profile), asked.wantedKeyType);
    const csrOf = (publicKey: CertificationRequest['publicKey']) =>
      // Nobody has to prove a key that is made here.
      ({ ...asked, possession: undefined, publicKey });
    let keyType: KeyType | undefined = wanted;
    if (asksSomebody(a, request) && (owner.first || asked.changeSubjectName !== undefined)) {
      const unmade: EstRequest = { ...enrollment, csr: csrOf(await sampleKey(wanted)), keyToCome: true };
      keyType = await keyTypeNow(a, owner, { digest: requestDigest(owner.requester, unmade), wanted });
      if (keyType === undefined) return waitFor(a, unmade, principal);
    }
    const { privateKey, publicKey } = await makeKey(a, keyType);
    const outcome = await enrollAs(a, { ...enrollment, csr: csrOf(publicKey) }, principal);
    // Its approval ended while the key was made, which nobody gets to see.
    if (outcome.state === 'pending') return outcome;
    return { ...outcome, pkcs8: encodePrivateKey(privateKey), delivery };
  });
}

/** For whom the key is. */
interface Owner {
  deviceId: string;
  /** As in the intent. */
  requester: string;
  /** Of a first certificate; one after it asks nobody, but for other names (E82). */
  first: boolean;
}

/** The kind of key to make now; undefined: somebody has to approve first. */
function keyTypeNow(
  a: AuthorityContext,
  { deviceId, first }: Owner,
  { digest, wanted }: { digest: Buffer; wanted: KeyType },
): Promise<KeyType | undefined> {
  return a.database.transaction(async (tx) => {
    if (!first) return approvedKeyType(tx, a, digest);
    const grant = await findNewestSecret(tx, deviceId);
    // Its certificate was issued once: whether another is given for it is decided further on.
    return grant?.state === 'free' ? approvedKeyType(tx, a, digest) : wanted;
  });
}

async function waitFor(a: AuthorityContext, unmade: EstRequest, principal: Principal): Promise<ServerKeyOutcome> {
  const outcome = await enrollAs(a, unmade, principal);
  if (outcome.state === 'pending') return outcome;
  throw new AuthorityError('internal', 'a certificate was issued for a key that was not made');
}

/** A secret is checked here already: nobody makes us make keys who does not know one. */
async function ownerOf(a: AuthorityContext, principal: Principal): Promise<Owner> {
  switch (principal.method) {
    case 'certificate':
      return { deviceId: principal.current.deviceId, requester: requesterOf(principal.current), first: false };
    case 'secret': {
      const { secret, device } = await findSecret(a, principal.presented, NO_KEY);
      if (secret.state === 'withdrawn') throw wrongSecret();
      return { deviceId: device.id, requester: `secret:${secret.id}`, first: true };
    }
    case 'fingerprint':
    case 'manufacturer':
    case 'ra':
    case 'apiKey':
    case 'account':
      throw new AuthorityError('forbidden', 'who asks so makes the key itself');
    default:
      return principal satisfies never;
  }
}
