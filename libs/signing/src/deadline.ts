import { AuthorityError } from '#kernel';
import { signLimitMs, type CaPublicKey, type Signer, type SignRequest } from './signer.js';

/**
 * A signer that answers in time or not at all: what takes longer than `signLimitMs` (or `limitMs`) is `unavailable`. What the signer says
 * later is dropped; the intent stands, and the same request again asks anew.
 */
export class DeadlineSigner implements Signer {
  constructor(
    private readonly signer: Signer,
    private readonly limitMs?: number,
  ) {}

  async sign(request: SignRequest): Promise<Buffer> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const refuse = () => reject(new AuthorityError('unavailable', 'the signer does not answer', { retryAfter: 2 }));
      timer = setTimeout(refuse, this.limitMs ?? signLimitMs(request));
    });
    try {
      return await Promise.race([this.signer.sign(request), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  createKey(...args: Parameters<Signer['createKey']>): Promise<CaPublicKey> {
    return this.signer.createKey(...args);
  }
}
