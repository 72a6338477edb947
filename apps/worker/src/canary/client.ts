import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { z } from 'zod';
import { ChannelFailure } from './channels.js';

const ANSWER_BYTES = 64 * 1024 * 1024;

export interface CanaryUrls {
  api: string;
  est: string;
  status: string;
}

interface Sent {
  method?: 'GET' | 'POST';
  headers?: Readonly<Record<string, string>>;
  body?: string | Buffer;
}

/** The instance as a client sees it: its servers are verified, and it is asked for nothing that others are not. */
export class CanaryClient {
  constructor(
    readonly urls: CanaryUrls,
    private readonly token: string,
    /** PEM of the only root to trust. */
    private readonly root: string,
    private readonly signal: AbortSignal,
  ) {}

  async get<T>(path: string, shape: z.ZodType<T>): Promise<T> {
    return parse(await this.api(path, {}), shape);
  }

  async post<T>(path: string, body: object, shape: z.ZodType<T>): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    return parse(await this.api(path, { method: 'POST', headers, body: JSON.stringify(body) }), shape);
  }

  async isActive(key: string): Promise<boolean> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ token: key }).toString();
    const answer = await this.api('/v1/introspect', { method: 'POST', headers, body });
    return parse(answer, z.object({ active: z.boolean() })).active;
  }

  /** Base64 text of the certs-only answer. */
  async enroll(username: string, password: string, csr: Buffer): Promise<string> {
    const basic = Buffer.from(`${username}:${password}`).toString('base64');
    const answer = await this.send(`${this.urls.est}/.well-known/est/simpleenroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/pkcs10', authorization: `Basic ${basic}` },
      body: csr.toString('base64'),
    });
    return answer.toString();
  }

  ocsp(request: Buffer): Promise<Buffer> {
    const headers = { 'content-type': 'application/ocsp-request' };
    return this.send(`${this.urls.status}/ocsp`, { method: 'POST', headers, body: request });
  }

  crl(issuerId: string, shard: number): Promise<Buffer> {
    return this.send(`${this.urls.status}/crl/${issuerId}/${shard}.crl`, {});
  }

  private api(path: string, sent: Sent): Promise<Buffer> {
    const headers = { accept: 'application/json', authorization: `Bearer ${this.token}`, ...sent.headers };
    return this.send(`${this.urls.api}${path}`, { ...sent, headers });
  }

  /** The body of a 200 or 201. */
  private send(url: string, { method = 'GET', headers = {}, body }: Sent): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const { origin, pathname } = new URL(url);
    const fail = (cause: Error): void => {
      const kind = this.signal.aborted ? 'late' : 'unreachable';
      reject(new ChannelFailure(kind, `${method} ${origin}: ${cause.message}`, { cause }));
    };
    const open = origin.startsWith('https:') ? httpsRequest : httpRequest;
    const options = { method, headers, agent: false as const, signal: this.signal, ca: this.root };
    const request = open(url, options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > ANSWER_BYTES) response.destroy(new Error(`answer of more than ${ANSWER_BYTES} bytes`));
        chunks.push(chunk);
      });
      response.once('error', fail);
      response.once('end', () => {
        const { statusCode } = response;
        if (statusCode === 200 || statusCode === 201) resolve(Buffer.concat(chunks));
        else reject(new ChannelFailure('refused', `${method} ${origin}${shown(pathname)} answers ${statusCode}`));
      });
    });
    request.once('error', fail);
    request.end(body);
    return promise;
  }
}

/** Ids do no harm in a log, and without them one line stands for all. */
const shown = (path: string): string => path.replace(/[0-9a-f-]{20,}|[0-9A-Za-z]{14}(?=\/|$)/g, ':id');

function parse<T>(body: Buffer, shape: z.ZodType<T>): T {
  try {
    return shape.parse(JSON.parse(body.toString()));
  } catch {
    throw new ChannelFailure('wrong', 'the answer has another form than it should');
  }
}
