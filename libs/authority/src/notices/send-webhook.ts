import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isAuthorityError, type Clock } from '#kernel';
import type { WebhookGuard, WebhookTarget } from './webhook-target.js';

/** Why a try failed, for the delivery log: one word, nothing of what was answered. */
export type SendError = 'target' | 'connection' | 'certificate' | 'timeout' | 'redirect' | 'status';

export interface SendResult {
  /** HTTP status; undefined when no answer came. */
  status: number | undefined;
  /** Undefined: 2xx. */
  error: SendError | undefined;
  durationMs: number;
}

export interface WebhookMessage {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: Buffer;
}

export interface WebhookSenderOptions {
  guard: WebhookGuard;
  clock: Pick<Clock, 'monotonicMs'>;
  deadlineMs?: number;
  /** PEM; undefined: the roots that Node trusts. */
  ca?: string | undefined;
}

const DEADLINE_MS = 10_000;
const MAX_ANSWER_BYTES = 16 * 1024;

/**
 * Sends notices by POST. The target is judged anew each time and the connection goes to an address that was judged, with
 * the name in SNI and certificate check. No proxy, no redirect, no reuse of connections; one deadline over everything.
 */
export class WebhookSender {
  constructor(private readonly options: WebhookSenderOptions) {}

  /** Never throws: whatever goes wrong is a result. */
  async send(message: WebhookMessage): Promise<SendResult> {
    const { guard, clock } = this.options;
    const begin = clock.monotonicMs();
    const outcome = await guard.check(message.url).then(
      (target) => this.post(target, message),
      (error: unknown): Outcome => ({ status: undefined, error: isAuthorityError(error) ? 'target' : 'connection' }),
    );
    return { ...outcome, durationMs: Math.round(clock.monotonicMs() - begin) };
  }

  private post(target: WebhookTarget, { headers, body }: WebhookMessage): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const { deadlineMs = DEADLINE_MS, ca } = this.options;
    const { url } = target;
    const options: https.RequestOptions = {
      method: 'POST',
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port,
      path: `${url.pathname}${url.search}`,
      headers: {
        ...headers,
        host: url.host,
        'content-type': 'application/json',
        'content-length': body.length,
        'user-agent': 'Touchmark-Notices/1',
        connection: 'close',
      },
      lookup: pinned(target.addresses),
      agent: false,
      ...(ca === undefined ? {} : { ca }),
    };
    let status: number | undefined;
    const request = (url.protocol === 'https:' ? https : http).request(options);
    const timer = setTimeout(() => finish(status === undefined ? 'timeout' : undefined), deadlineMs);
    const finish = (error: SendError | undefined): void => {
      clearTimeout(timer);
      request.destroy();
      resolve(status === undefined ? { status, error: error ?? 'connection' } : judge(status));
    };
    request.on('error', (error) => finish(isCertificateError(error) ? 'certificate' : 'connection'));
    request.on('response', (response) => {
      status = response.statusCode ?? 0;
      let read = 0;
      // The answer is read only so far that the receiver can finish it in peace.
      response.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read > MAX_ANSWER_BYTES) finish(undefined);
      });
      response.on('error', () => finish(undefined));
      response.on('close', () => finish(undefined));
    });
    request.end(body);
    return promise;
  }
}

type Outcome = Pick<SendResult, 'status' | 'error'>;

function judge(status: number): Outcome {
  if (status >= 200 && status < 300) return { status, error: undefined };
  return { status, error: status >= 300 && status < 400 ? 'redirect' : 'status' };
}

/** Answers every question with the addresses that were judged. */
function pinned(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, callback) => {
    const [first] = all;
    if (first === undefined) callback(new Error('no address was judged'), []);
    else if (options.all === true) callback(null, all);
    else callback(null, first.address, first.family);
  };
}

function isCertificateError(error: NodeJS.ErrnoException): boolean {
  return /^(CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/.test(error.code ?? '');
}
