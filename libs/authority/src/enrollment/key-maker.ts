import { AuthorityError } from '#kernel';
import { generateKeyPair, type GeneratedKey, type KeyType } from '#pki';
import type { Profile } from '#policy';
import type { AuthorityContext } from '../context.js';

/** RSA keys that are made at the same time: each holds a core for up to a second, and whoever enrolls waits for it too. */
const MAX_COSTLY = 2;

/** Makes keys for devices, few costly ones at a time, off the thread that answers. */
class KeyMaker {
  private costly = 0;

  /** Throws `unavailable`, code `keyGenerationBusy`, where too many are being made. */
  async make(keyType: KeyType): Promise<GeneratedKey> {
    if (!keyType.startsWith('rsa-')) return generateKeyPair(keyType);
    if (this.costly >= MAX_COSTLY) {
      throw new AuthorityError('unavailable', 'as many keys as can be are being made just now; try again', {
        code: 'keyGenerationBusy',
        retryAfter: 2,
      });
    }
    this.costly++;
    try {
      return await generateKeyPair(keyType);
    } finally {
      this.costly--;
    }
  }
}

const makers = new WeakMap<AuthorityContext, KeyMaker>();

export function makeKey(a: AuthorityContext, keyType: KeyType): Promise<GeneratedKey> {
  const maker = makers.get(a) ?? new KeyMaker();
  makers.set(a, maker);
  return maker.make(keyType);
}

/**
 * The kind of key to make: that of the request where the profile has it, else the profile's first. The key in the request is no wish
 * that could be refused: many clients send any key there, since it is ignored (E101).
 */
export function keyTypeToMake(profile: Profile, wanted: KeyType): KeyType {
  const [first] = profile.keyTypes;
  if (first === undefined) throw new AuthorityError('internal', `the profile ${profile.name} has no key types`);
  return profile.keyTypes.includes(wanted) ? wanted : first;
}
