import { AuthorityError, gauge, isAuthorityError, type Clock, type Gauge, type Registry } from '#kernel';
import type { KeyType } from '#pki';
import type { CaPublicKey, KeyOptions, Signer, SignRequest } from './signer.js';

/** So many failures in a row, and nothing is waited for any more. */
const FAILURES = 3;
/** After so long one request tries again, for all. */
const PROBE_MS = 2000;

/** Of one key, or of making keys. */
interface Circuit {
  failures: number;
  /** Monotonic milliseconds of the last failure or the last probe; undefined: closed. */
  openedAt: number | undefined;
}

/**
 * Around a signer that may be down: after three failures of a key in a row, requests for it are `unavailable` at once
 * instead of after a deadline each. Every 2 s one request goes through as a probe, and the first that succeeds closes the
 * circuit. A failure is `unavailable` or what no AuthorityError is: a refusal proves that the signer is there. One circuit
 * per key: a token that is gone does not stop the keys that are not in it.
 */
export class CircuitBreaker implements Signer {
  private readonly circuits = new Map<string, Circuit>();
  private readonly open: Gauge<string> | undefined;

  constructor(
    private readonly signer: Signer,
    private readonly clock: Clock,
    registry?: Registry,
  ) {
    this.open =
      registry &&
      gauge(registry, {
        name: 'touchmark_signer_circuits_open',
        help: 'Keys for which the signer is taken to be down: requests are refused at once, one every 2 s tries again',
        labelNames: [],
      });
  }

  /** Why some of it does not work now; empty when all does. Nothing is tried for it. */
  problems(): string[] {
    const open = [...this.circuits.values()].filter(({ openedAt }) => openedAt !== undefined).length;
    return open === 0 ? [] : [`signer: does not answer for ${open} ${open === 1 ? 'key' : 'keys'}`];
  }

  sign(request: SignRequest): Promise<Buffer> {
    return this.guard(request.keyId, () => this.signer.sign(request));
  }

  createKey(keyType: KeyType, options?: KeyOptions): Promise<CaPublicKey> {
    return this.guard(`create ${options?.location ?? ''}`, () => this.signer.createKey(keyType, options));
  }

  private async guard<T>(name: string, work: () => Promise<T>): Promise<T> {
    const circuit = this.circuits.get(name) ?? { failures: 0, openedAt: undefined };
    this.circuits.set(name, circuit);
    this.pass(circuit);
    try {
      const result = await work();
      this.settle(circuit, true);
      return result;
    } catch (error) {
      this.settle(circuit, isAuthorityError(error) && error.kind !== 'unavailable');
      throw error;
    }
  }

  /** Throws while the circuit is open, but for the one that probes. */
  private pass(circuit: Circuit): void {
    if (circuit.openedAt === undefined) return;
    const now = this.clock.monotonicMs();
    const waits = circuit.openedAt + PROBE_MS - now;
    if (waits > 0) {
      throw new AuthorityError('unavailable', 'the signer does not answer', {
        code: 'signerDown',
        retryAfter: Math.max(1, Math.ceil(waits / 1000)),
      });
    }
    // The next one waits again: the signer that comes back is not run down at once.
    circuit.openedAt = now;
  }

  private settle(circuit: Circuit, alive: boolean): void {
    const wasOpen = circuit.openedAt !== undefined;
    circuit.failures = alive ? 0 : circuit.failures + 1;
    circuit.openedAt = circuit.failures < FAILURES ? undefined : this.clock.monotonicMs();
    const isOpen = circuit.openedAt !== undefined;
    // Several planes of one process count together.
    if (isOpen && !wasOpen) this.open?.inc();
    if (wasOpen && !isOpen) this.open?.dec();
  }
}
