import type { KeyType } from '#pki';
import type { Signer } from '#signing';

/** The signer, which makes every CA key of this type, whatever it is asked for; undefined: as it is asked. */
export function withCaKeyType(signer: Signer, keyType: KeyType | undefined): Signer {
  if (keyType === undefined) return signer;
  return { sign: (request) => signer.sign(request), createKey: () => signer.createKey(keyType) };
}
