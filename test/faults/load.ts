import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readCertificate } from '#pki';
import { basic, certificateOf, csrOf, newKey } from '../harness/device.js';
import { call, type Reply } from '../harness/http.js';
import type { Ready } from '../harness/process-instance.js';

/** One try of a request as its client saw it; times are monotonic milliseconds. */
export interface Try {
  what: string;
  at: number;
  ms: number;
  /** 0: no answer. */
  status: number;
  retryAfter: boolean;
  /** What was said where it was no success. */
  said?: string;
}

/** What a client was told is done, written to a file before it goes on. */
type Acknowledged =
  | { kind: 'certificate'; serial: string; revoked: boolean }
  | { kind: 'key'; id: string; key: string; revoked: boolean };

export interface Losses {
  acknowledged: number;
  lost: string[];
}

/** Requests of one client in flight at once. */
const LANES = 12;

/**
 * Clients that register devices, enroll them, issue keys and revoke half of both, at so many requests a second. A request
 * that is answered with 503, or not at all, is sent again as it was until it is answered otherwise.
 */
export class Load {
  readonly tries: Try[] = [];
  private readonly directory = mkdtempSync(path.join(tmpdir(), 'touchmark-ledger-'));
  private readonly ledger = path.join(this.directory, 'ledger.jsonl');
  private readonly agent: https.Agent;
  private appId = '';
  private running: Promise<unknown> = Promise.resolve();
  private stopping = false;
  private nextSlot = performance.now();

  private constructor(
    private ready: Ready,
    rootPem: string,
    private readonly token: string,
    private readonly perSecond: number,
    keepAlive: boolean,
  ) {
    writeFileSync(this.ledger, '');
    this.agent = new https.Agent({ keepAlive, maxSockets: LANES, ca: rootPem });
  }

  static async open(ready: Ready, perSecond: number, { keepAlive = true } = {}): Promise<Load> {
    const token = (await readFile(ready.operatorToken, 'utf8')).trim();
    const load = new Load(ready, await readFile(ready.root, 'utf8'), token, perSecond, keepAlive);
    load.appId = await load.makeApp();
    return load;
  }

  start(): void {
    this.running = Promise.all(Array.from({ length: LANES }, (_, n) => this.lane(n)));
  }

  /** Every request that has begun is carried to its end. Throws what a client could not make sense of. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  /** A request that the server has taken, and waits for the body of; `finish` sends it and tells the status of the answer. */
  async holdRequest(): Promise<{ finish: () => Promise<number | undefined> }> {
    const body = JSON.stringify({ appId: this.appId });
    const request = https.request(`${this.ready.api}/v1/devices`, {
      method: 'POST',
      agent: this.agent,
      headers: {
        authorization: `Bearer ${this.token}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        expect: '100-continue',
      },
    });
    const taken = once(request, 'continue');
    request.flushHeaders();
    await taken;
    return {
      finish: async () => {
        const answered = once(request, 'response') as Promise<[IncomingMessage]>;
        request.end(body);
        const [answer] = await answered;
        answer.resume();
        return answer.statusCode;
      },
    };
  }

  /** Until the server takes no new connections. */
  async untilRefused(): Promise<void> {
    for (let refused = false; !refused;) {
      const socket = connect(Number(new URL(this.ready.api).port), '127.0.0.1');
      refused = await once(socket, 'connect').then(
        () => false,
        () => true,
      );
      socket.destroy();
      await pause(5);
    }
  }

  /** What has no answer is given up: nobody is there any more. */
  async abandon(): Promise<void> {
    this.stopping = true;
    await this.running.catch(() => undefined);
  }

  /** The same instance, started again. */
  moveTo(ready: Ready): void {
    this.ready = ready;
  }

  /** Clients let go of their connections, as at the end of their processes. */
  close(): void {
    this.agent.destroy();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Serials of certificates whose revocation was acknowledged, lower-case hex. */
  revokedCertificates(): string[] {
    return this.acknowledged().flatMap((one) => (one.kind === 'certificate' && one.revoked ? [one.serial] : []));
  }

  /** Asks for each acknowledged thing by itself. */
  async findLosses(): Promise<Losses> {
    const acknowledged = this.acknowledged();
    const latest = new Map(acknowledged.map((one) => [one.kind === 'key' ? one.id : one.serial, one]));
    const lost: string[] = [];
    for (const one of latest.values()) {
      const route = one.kind === 'key' ? `/v1/keys/${one.id}` : `/v1/certificates/${one.serial}`;
      const reply = await this.send('GET', route);
      const { status } = reply.json<{ status?: string }>();
      const expected = one.revoked ? 'revoked' : 'active';
      if (reply.status !== 200 || status !== expected) {
        lost.push(`${route}: ${reply.status} ${String(status)}, acknowledged as ${expected}`);
      }
      if (one.kind === 'key' && !(await this.introspects(one))) lost.push(`${one.id}: introspection says otherwise`);
    }
    return { acknowledged: acknowledged.length, lost };
  }

  private acknowledged(): Acknowledged[] {
    const lines = readFileSync(this.ledger, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Acknowledged);
  }

  private async introspects(one: { key: string; revoked: boolean }): Promise<boolean> {
    const reply = await call(`${this.ready.api}/v1/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${one.key}`,
      agent: this.agent,
    });
    return reply.json<{ active: boolean }>().active === !one.revoked;
  }

  private async makeApp(): Promise<string> {
    const vendor = await this.create('/v1/organizations', { name: 'Vendor', kind: 'vendor' });
    return (await this.create('/v1/apps', { name: 'App', vendorId: vendor.id })).id;
  }

  private async create(route: string, body: unknown): Promise<{ id: string }> {
    const reply = await this.send('POST', route, body, { 'idempotency-key': randomUUID() });
    if (reply.status !== 201) throw new Error(`${route}: ${reply.status} ${reply.text}`);
    return reply.json<{ id: string }>();
  }

  private async lane(n: number): Promise<void> {
    for (let round = 0; !this.stopping; round++) {
      if (n % 2 === 0) await this.enrollOne(round % 2 === 0);
      else await this.issueOne(round % 2 === 0);
    }
  }

  private async enrollOne(revoke: boolean): Promise<void> {
    const device = (await this.until('register', 'POST', '/v1/devices', { appId: this.appId })).json<{
      id: string;
      instanceId: string;
      enrollment: { username: string; secret: string };
    }>();
    const body = csrOf(device, newKey()).toString('base64');
    const { username, secret } = device.enrollment;
    const headers = { authorization: basic(username, secret), 'content-type': 'application/pkcs10' };
    const reply = await this.carry('enroll', () =>
      call(`${this.ready.est}/.well-known/est/simpleenroll`, { method: 'POST', headers, body, agent: this.agent }),
    );
    const { serial } = readCertificate(certificateOf(reply));
    this.note({ kind: 'certificate', serial, revoked: false });
    if (!revoke) return;
    await this.until('revoke', 'POST', `/v1/certificates/${serial}/revoke`, { reason: 'superseded' });
    this.note({ kind: 'certificate', serial, revoked: true });
  }

  private async issueOne(revoke: boolean): Promise<void> {
    const version = randomUUID();
    const release = (await this.until('release', 'POST', `/v1/apps/${this.appId}/releases`, { version })).json<{
      id: string;
    }>();
    const request = { releaseId: release.id, audience: 'all', environment: 'live' };
    const { id, key } = (await this.until('issue', 'POST', '/v1/keys', request)).json<{ id: string; key: string }>();
    this.note({ kind: 'key', id, key, revoked: false });
    if (!revoke) return;
    await this.until('revoke', 'POST', `/v1/keys/${id}/revoke`, { reason: 'superseded' });
    this.note({ kind: 'key', id, key, revoked: true });
  }

  private note(one: Acknowledged): void {
    appendFileSync(this.ledger, `${JSON.stringify(one)}\n`, { flush: true });
  }

  private until(what: string, method: string, route: string, body: unknown): Promise<Reply> {
    const headers = { 'idempotency-key': randomUUID() };
    return this.carry(what, () => this.send(method, route, body, headers));
  }

  private async carry(what: string, send: () => Promise<Reply>): Promise<Reply> {
    for (;;) {
      await this.slot();
      const at = performance.now();
      const { reply, error } = await send().then(
        (answer) => ({ reply: answer, error: undefined }),
        (cause: unknown) => ({ reply: undefined, error: String(cause) }),
      );
      const ms = performance.now() - at;
      if (reply === undefined) {
        this.tries.push({ what, at, ms, status: 0, retryAfter: false, said: error });
        if (this.stopping) throw new Error(error);
      } else {
        const seen = { what, at, ms, status: reply.status, retryAfter: Number(reply.headers['retry-after']) > 0 };
        const done = reply.status === 200 || reply.status === 201;
        this.tries.push(done ? seen : { ...seen, said: reply.text });
        if (done) return reply;
        if (reply.status !== 503) throw new Error(`${what}: ${reply.status} ${reply.text}`);
      }
      await pause(200);
    }
  }

  /** Requests begin at even distances, whichever lane they are of. */
  private async slot(): Promise<void> {
    const now = performance.now();
    this.nextSlot = Math.max(this.nextSlot, now) + 1000 / this.perSecond;
    await pause(Math.max(0, this.nextSlot - now));
  }

  send(method: string, route: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    return call(`${this.ready.api}${route}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      agent: this.agent,
    });
  }
}
