import { histogram, inSpan, isAuthorityError, type Clock, type Histogram, type Registry } from '#kernel';
import type { KeyType } from '#pki';
import type { CaPublicKey, KeyOptions, Signer, SignRequest } from './signer.js';

/** A signer whose calls are counted, timed and traced; what it answers and throws is the other's. */
export class MeasuredSigner implements Signer {
  private readonly seconds: Histogram<'purpose' | 'outcome'>;

  constructor(
    private readonly signer: Signer,
    registry: Registry,
    private readonly clock: Clock,
  ) {
    this.seconds = histogram(registry, {
      name: 'touchmark_signer_seconds',
      help: 'Duration of calls to the signer by purpose and outcome: ok, or the kind of error',
      labelNames: ['purpose', 'outcome'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2],
    });
  }

  sign(request: SignRequest): Promise<Buffer> {
    return this.measure(request.purpose, () => this.signer.sign(request));
  }

  createKey(keyType: KeyType, options?: KeyOptions): Promise<CaPublicKey> {
    return this.measure('createKey', () => this.signer.createKey(keyType, options));
  }

  private async measure<T>(purpose: string, work: () => Promise<T>): Promise<T> {
    const begin = this.clock.monotonicMs();
    let outcome = 'ok';
    try {
      return await inSpan(`signer ${purpose}`, { 'touchmark.purpose': purpose }, work);
    } catch (error) {
      outcome = isAuthorityError(error) ? error.kind : 'internal';
      throw error;
    } finally {
      this.seconds.observe({ purpose, outcome }, (this.clock.monotonicMs() - begin) / 1000);
    }
  }
}
