import type { CsrDemand } from '#est';
import { addSeconds, isAuthorityError } from '#kernel';
import { keyUsageOf } from '#policy';
import { findCertificate, findDevice, type Device, type SecretEnrollment } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { presentedApiKey } from './authenticate/api-key.js';
import { authenticateCertificate, REPEAT_SECONDS } from './authenticate/own-certificate.js';
import { findSecret, sentSecret } from './authenticate/secret.js';
import { wrongSecret } from './authenticate/wrong-secret.js';
import { entitledNames } from './entitled-names.js';
import type { EstRequest } from './est-request.js';

const NO_KEY = Buffer.alloc(32);

/**
 * What a request under this label should say (RFC 7030 section 4.5). Nobody has to prove anything; a device that does is told its own
 * names (E121). A secret is only looked at, not used. Throws `unauthenticated` for one that is wrong, and alike for one that
 * would serve no enrollment any more.
 */
export async function csrDemandFor(
  a: AuthorityContext,
  request: Pick<EstRequest, 'label' | 'presented' | 'address'>,
): Promise<CsrDemand> {
  const { label } = request;
  const profile = currentProfile(a, label.profile);
  const device = await knownDevice(a, request);
  const own = device?.profile === profile.name ? device : undefined;
  return {
    keyTypes: profile.keyTypes,
    // Only what a key of every type can have.
    keyUsage: profile.keyUsage.filter((bit) =>
      profile.keyTypes.every((keyType) => keyUsageOf(profile, keyType).includes(bit)),
    ),
    eku: profile.eku,
    san: profile.san.length === 0 ? 'forbidden' : profile.san.some(({ min }) => min > 0) ? 'required' : 'optional',
    binding: label.channelBinding === 'required' && label.challengePassword === 'binding',
    names: own && entitledNames(a, profile, own, true),
  };
}

async function knownDevice(
  a: AuthorityContext,
  request: Pick<EstRequest, 'label' | 'presented' | 'address'>,
): Promise<Device | undefined> {
  const { label, presented } = request;
  const maySend = label.authentication.includes('secret') && presentedApiKey(presented) === undefined;
  const secret = maySend ? sentSecret(a, request) : undefined;
  if (secret) {
    const known = await findSecret(a, secret, NO_KEY);
    await requireUsable(a, known.secret);
    return known.device;
  }
  const certificate = label.authentication.includes('certificate') ? presented.peerCertificate() : undefined;
  return certificate && deviceOfCertificate(a, certificate);
}

/** A device whose answer was lost asks anew, from the beginning: for so long its secret tells it its names once more (E91). */
async function requireUsable(a: AuthorityContext, secret: SecretEnrollment['secret']): Promise<void> {
  const { state, boundSerial, boundRequest, expiresAt } = secret;
  const now = a.clock.now();
  if (state === 'free') {
    // What waits for approval goes on past the end of its secret.
    if (expiresAt <= now && boundRequest === null) throw wrongSecret();
    return;
  }
  const made = boundSerial && (await a.database.single((tx) => findCertificate(tx, boundSerial)));
  if (state === 'withdrawn' || !made || made.createdAt < addSeconds(now, -REPEAT_SECONDS)) throw wrongSecret();
}

/** A certificate that is good for nothing here makes its holder nobody, not a wrongdoer: it may be a manufacturer's. */
async function deviceOfCertificate(a: AuthorityContext, der: Buffer): Promise<Device | undefined> {
  try {
    const { deviceId } = await authenticateCertificate(a, der);
    return await a.database.single((tx) => findDevice(tx, deviceId));
  } catch (error) {
    if (isAuthorityError(error, 'forbidden')) return undefined;
    throw error;
  }
}
