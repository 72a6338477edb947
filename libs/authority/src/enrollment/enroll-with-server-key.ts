import { AuthorityError } from '#kernel';
import { encodePrivateKey, type CertificationRequest, type KeyRequest } from '#pki';
import { readSecretEnrollment } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { authenticate } from './authenticate/authenticate.js';
import type { Principal } from './authenticate/principal.js';
import { checkSecret, wrongSecret } from './authenticate/secret.js';
import { enrollAs, recordingRefusals } from './enroll.js';
import type { EstRequest } from './est-request.js';
import { chooseDelivery, type KeyDelivery } from './key-delivery.js';
import { keyTypeToMake, makeKey } from './key-maker.js';

export type ServerKeyRequest = Omit<EstRequest, 'csr' | 'operation'> & { asked: KeyRequest };

export interface ServerKey {
  certificate: Buffer;
  /** PKCS#8. It exists nowhere else; who sends it zeroes it. */
  pkcs8: Buffer;
  /** How it is to be encrypted; undefined: TLS alone protects it, since nothing else was asked for. */
  delivery: KeyDelivery | undefined;
}

const NO_KEY = Buffer.alloc(32);

/**
 * A key made here and its certificate (RFC 7030 section 4.4), by the one way of every enrollment. Who asks, and whether the key can be
 * encrypted as wanted, is known before any key is made. A repeated request gets another key, and the certificate of the answer that was
 * lost is revoked (E109). Throws as `enrollOverEst`; `invalid`, code `unknownKeyId` or `noSharedWrap`, for an encryption that cannot be.
 */
export function enrollWithServerKey(a: AuthorityContext, request: ServerKeyRequest): Promise<ServerKey> {
  const { asked, ...rest } = request;
  const enrollment = { ...rest, operation: 'serverkeygen' as const };
  return recordingRefusals(a, enrollment, async () => {
    const profile = currentProfile(a, request.label.profile);
    if (request.label.approval || profile.approval) {
      throw new AuthorityError('forbidden', 'a key is made here only where nobody has to approve the certificate');
    }
    const principal = await authenticate(a, enrollment);
    const deviceId = await deviceOf(a, principal);
    const delivery = await chooseDelivery(a, asked, deviceId);
    const { privateKey, publicKey } = await makeKey(a, keyTypeToMake(profile, asked.wantedKeyType));
    // Nobody has to prove a key that is made here.
    const csr: CertificationRequest = { ...asked, possession: undefined, publicKey };
    const outcome = await enrollAs(a, { ...enrollment, csr }, principal);
    if (outcome.state !== 'issued') throw new AuthorityError('internal', 'a key was made for a request that waits');
    return { certificate: outcome.certificate, pkcs8: encodePrivateKey(privateKey), delivery };
  });
}

/** A secret is checked here already: nobody makes us make keys who does not know one. */
async function deviceOf(a: AuthorityContext, principal: Principal): Promise<string> {
  switch (principal.method) {
    case 'certificate':
      return principal.current.deviceId;
    case 'secret': {
      const { id } = principal.presented;
      const found =
        id === undefined ? undefined : await a.database.single((tx) => readSecretEnrollment(tx, id, NO_KEY));
      const { secret, device } = checkSecret(a, principal.presented, found);
      if (secret.state === 'withdrawn') throw wrongSecret();
      return device.id;
    }
    case 'fingerprint':
      return principal.identity.deviceId;
    case 'manufacturer':
    case 'ra':
    case 'apiKey':
    case 'account':
      throw new AuthorityError('forbidden', 'who asks so makes the key itself');
    default:
      return principal satisfies never;
  }
}
