import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AuthorityError, type Clock } from '#kernel';
import type { TokenReply, TokenRequest } from './token-messages.js';

/** What is called for when a token fails; `Logger` of pino fits. */
export interface TokenLog {
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export interface TokenSettings {
  /** Shared library of the token's maker. */
  module: string;
  /** CKA_LABEL of the token. */
  label: string;
  /** Read when the token is opened; what it gives is kept nowhere. */
  readPin: () => string;
  /** Environment of the process that loads the library; undefined: this process's own. */
  environment?: Readonly<Record<string, string>>;
}

type Without<T> = T extends unknown ? Omit<T, 'id'> : never;
type Asked = Without<TokenRequest>;
type Answered = Extract<TokenReply, { ok: true }>;

interface Pending {
  resolve(reply: Answered): void;
  reject(error: AuthorityError): void;
  timer: NodeJS.Timeout;
}

/** Below the 2 s in which a signer has to answer. */
const SIGN_MS = 1800;
/** Opening loads the library and logs in; making an RSA key takes a token seconds. */
const SLOW_MS = 30_000;
/** At once as many signatures as a token makes in parallel; more wait. */
const SESSIONS = 4;
const RESTART_MS = 500;

/** What may not be tried again: each try costs one of the few before the token locks itself. */
const PIN_REFUSED: readonly string[] = [
  'CKR_PIN_INCORRECT',
  'CKR_PIN_LOCKED',
  'CKR_PIN_EXPIRED',
  'CKR_PIN_INVALID',
  'PIN_LAST_TRY',
];
const TEXTS: Readonly<Record<string, string>> = {
  NO_BINDING: 'the optional package pkcs11js is not installed; PKCS#11 needs it',
  NO_TOKEN: 'no token of this label is there',
};

// From the sources in tests, compiled elsewhere: the child stands beside this file either way.
const CHILD = fileURLToPath(
  new URL(`./token-process.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
);

/**
 * A PKCS#11 token, held open by a process of its own. Requests are `unavailable` when it does not answer in 1.8 s; that
 * process is killed then, and the next request starts another one, which logs in again: a lost session, a token that was
 * taken out and put back, a library that crashed or hangs all heal by this one way. A refused PIN is never tried again by
 * this object: everything is `unavailable` (code `tokenPin`) until Touchmark is started again.
 */
export class Token {
  private child: ChildProcess | undefined;
  private ready: Promise<void> | undefined;
  private readonly pending = new Map<number, Pending>();
  private lastId = 0;
  private startedAt = -Infinity;
  private refused: string | undefined;
  private closed = false;

  constructor(
    private readonly settings: TokenSettings,
    private readonly clock: Clock,
    private readonly log: TokenLog,
  ) {}

  get label(): string {
    return this.settings.label;
  }

  /** Process id of the process that holds the token, while there is one. */
  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Raw octets as PKCS#11 gives them. `data`: the digest (ECDSA) or the DigestInfo (RSA). */
  async sign(key: Buffer, mechanism: 'ecdsa' | 'rsa', data: Buffer): Promise<Buffer> {
    const request = { op: 'sign', key: key.toString('hex'), mechanism, data } as const;
    const { signature } = await this.ask(request, SIGN_MS);
    if (signature === undefined) throw down('the token gave no signature');
    return Buffer.from(signature);
  }

  /** EC: CKA_EC_POINT (`point`), or RSA: modulus and exponent. `curve`: DER of the curve's OID. */
  async generate(key: Buffer, label: string, of: { curve: Buffer } | { bits: number }): Promise<Answered> {
    return this.ask({ op: 'generate', key: key.toString('hex'), label, ...of }, SLOW_MS);
  }

  close(): void {
    this.closed = true;
    this.drop(this.child, 'the signer is stopping');
  }

  private async ask(request: Asked, limitMs: number): Promise<Answered> {
    const until = this.clock.monotonicMs() + limitMs;
    await this.within(this.open(), limitMs);
    return this.send(request, Math.max(1, until - this.clock.monotonicMs()));
  }

  /** Whoever waits for the opening is told in time; the opening itself goes on. */
  private async within(opening: Promise<void>, limitMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(down('the token is being opened')), limitMs);
    });
    try {
      await Promise.race([opening, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private open(): Promise<void> {
    if (this.refused !== undefined) {
      const text = `the PIN of the token was refused (${this.refused}) and is not tried again before a restart`;
      return Promise.reject(new AuthorityError('unavailable', text, { code: 'tokenPin', retryAfter: 60 }));
    }
    if (this.closed) return Promise.reject(down('the signer is stopping'));
    if (this.ready !== undefined) return this.ready;
    const now = this.clock.monotonicMs();
    if (now - this.startedAt < RESTART_MS) return Promise.reject(down('the token was opened a moment ago and failed'));
    this.startedAt = now;
    const opening = this.start();
    this.ready = opening;
    // Told to those who wait; nobody may be waiting any more.
    opening.catch(() => undefined);
    return opening;
  }

  private async start(): Promise<void> {
    const { module, label, environment } = this.settings;
    const child = fork(CHILD, [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      ...(environment && { env: environment }),
    });
    this.child = child;
    child.on('message', (reply: TokenReply) => this.take(child, reply));
    child.on('error', () => this.drop(child, 'its process could not be started'));
    child.on('exit', () => this.drop(child, 'its process ended'));
    try {
      await this.send({ op: 'open', module, token: label, pin: this.settings.readPin(), sessions: SESSIONS }, SLOW_MS);
    } catch (error) {
      this.log.warn({ err: error, token: label }, 'the token could not be opened');
      this.drop(child, 'it could not be opened');
      throw error;
    }
  }

  private send(request: Asked, limitMs: number): Promise<Answered> {
    const { child } = this;
    if (child === undefined) return Promise.reject(down('the token is not open'));
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.log.warn({ token: this.label, op: request.op }, 'the token does not answer: its process is ended');
        this.drop(child, 'it does not answer');
      }, limitMs);
      this.pending.set(id, { resolve, reject, timer });
      child.send({ ...request, id }, (error) => error && this.drop(child, 'its process is gone'));
    });
  }

  private take(child: ChildProcess, reply: TokenReply): void {
    const pending = this.pending.get(reply.id);
    if (pending === undefined) return;
    this.pending.delete(reply.id);
    clearTimeout(pending.timer);
    if (reply.ok) return pending.resolve(reply);
    if (reply.rv === 'NO_KEY') return pending.reject(new AuthorityError('notFound', 'the token holds no such key'));
    if (PIN_REFUSED.includes(reply.rv)) {
      this.refused = reply.rv;
      this.log.error(
        { token: this.label, rv: reply.rv },
        'ALARM: the PIN of the token was refused; it is not tried again',
      );
    }
    pending.reject(down(TEXTS[reply.rv] ?? `the token failed (${reply.rv})`));
    this.drop(child, 'it failed');
  }

  /** Whoever still waits for this process is told; the next request starts another one. */
  private drop(child: ChildProcess | undefined, why: string): void {
    if (child === undefined || child !== this.child) return;
    this.child = undefined;
    this.ready = undefined;
    child.kill('SIGKILL');
    for (const [id, { reject, timer }] of this.pending) {
      clearTimeout(timer);
      reject(down(`the token cannot be used: ${why}`));
      this.pending.delete(id);
    }
  }
}

function down(detail: string): AuthorityError {
  return new AuthorityError('unavailable', detail, { code: 'tokenDown', retryAfter: 2 });
}
