import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readCertificate, toPem } from '#pki';
import { basic, certificateOf, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { call, type Reply } from '../harness/http.js';
import { ProcessInstance, type Ready } from '../harness/process-instance.js';

export interface KillPlan {
  kills: number;
  enrollments: number;
  seed: number;
}

export interface KillReport {
  kills: number;
  enrollments: number;
  /** What the clients hold: written to a file before they go on, never asked of the server. */
  held: number;
  resent: number;
  lost: string[];
  wrongKey: string[];
  duplicates: number;
  openIntents: number;
  signedWithoutRow: string[];
}

export interface Device {
  id: string;
  instanceId: string;
  username: string;
  secret: string;
  key: DeviceKey;
}

export interface Listed {
  items: { serial: string; status: string; deviceId: string | null; pem?: string }[];
  nextCursor: string | null;
}

/**
 * Devices enroll, eight at a time, while the server is killed with SIGKILL at random moments and started again. Each device
 * has one secret and one key and sends the same request until it gets a certificate. The judge is the clients' ledger.
 */
export async function enrollUnderKills(plan: KillPlan): Promise<KillReport> {
  const instance = await ProcessInstance.prepared();
  const ledgerDirectory = mkdtempSync(path.join(tmpdir(), 'touchmark-ledger-'));
  const ledger = path.join(ledgerDirectory, 'ledger.jsonl');
  try {
    const server = new Server(instance);
    await server.start();
    const devices = await registerAll(server, plan.enrollments);
    const resent = await enrollAll(server, devices, plan, ledger);
    return await judge(server, plan, devices, ledger, resent);
  } finally {
    await instance.dispose();
    rmSync(ledgerDirectory, { recursive: true, force: true });
  }
}

/** The instance as its clients see it: it may be gone at any moment, and come back. */
export class Server {
  ready!: Ready;
  rootPem = '';
  token = '';

  constructor(readonly instance: ProcessInstance) {}

  async start(): Promise<void> {
    this.ready = await this.instance.start();
    this.rootPem = await readFile(this.ready.root, 'utf8');
    this.token = (await readFile(this.ready.operatorToken, 'utf8')).trim();
  }

  api(method: string, route: string, body?: unknown): Promise<Reply> {
    return call(`${this.ready.api}${route}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      tls: { ca: this.rootPem },
    });
  }

  renew(device: Device, certificate: Buffer, key: DeviceKey): Promise<Reply> {
    const pem = toPem('CERTIFICATE', certificate);
    return call(`${this.ready.est}/.well-known/est/simplereenroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/pkcs10' },
      body: csrOf(device, key).toString('base64'),
      tls: { ca: this.rootPem, timeout: 5000, cert: pem, key: device.key.pem },
    });
  }

  enroll(device: Device): Promise<Reply> {
    return call(`${this.ready.est}/.well-known/est/simpleenroll`, {
      method: 'POST',
      headers: { authorization: basic(device.username, device.secret), 'content-type': 'application/pkcs10' },
      body: csrOf(device, device.key).toString('base64'),
      tls: { ca: this.rootPem, timeout: 5000 },
    });
  }
}

export async function registerAll(server: Server, count: number): Promise<Device[]> {
  const created = async (route: string, body: unknown) => {
    const reply = await server.api('POST', route, body);
    if (reply.status !== 201) throw new Error(`${route}: ${reply.status} ${reply.text}`);
    return reply.json<{ id: string; instanceId: string; enrollment: { username: string; secret: string } }>();
  };
  const vendor = await created('/v1/organizations', { name: 'Vendor', kind: 'vendor' });
  const app = await created('/v1/apps', { name: 'App', vendorId: vendor.id });
  const devices: Device[] = [];
  await lanes(count, async () => {
    const { id, instanceId, enrollment } = await created('/v1/devices', { appId: app.id });
    devices.push({ id, instanceId, ...enrollment, key: newKey() });
  });
  return devices;
}

async function enrollAll(server: Server, devices: Device[], plan: KillPlan, ledger: string): Promise<number> {
  const random = seeded(plan.seed);
  const done = { count: 0, resent: 0, over: false };
  const enrolling = lanes(devices.length, async (i) => {
    const device = devices[i]!;
    while (!done.over) {
      const reply = await server.enroll(device).catch(() => undefined);
      if (reply?.status === 200) {
        const pem = certificateOf(reply).toString('base64');
        appendFileSync(ledger, `${JSON.stringify({ id: device.id, certificate: pem })}\n`, { flush: true });
        done.count += 1;
        return;
      }
      if (reply && reply.status !== 503) throw new Error(`device ${device.id}: ${reply.status} ${reply.text}`);
      done.resent += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  // What one of both cannot make sense of ends the other too.
  const end = () => (done.over = true);
  enrolling.catch(end);
  try {
    // The moments: spread over the whole of the enrollments, at random points between two marks.
    for (let kill = 0; kill < plan.kills && !done.over; kill++) {
      const mark = ((kill + random()) / (plan.kills + 1)) * devices.length;
      while (done.count < mark && !done.over) await new Promise((resolve) => setTimeout(resolve, 2));
      await new Promise((resolve) => setTimeout(resolve, random() * 20));
      await server.instance.kill();
      await server.start();
    }
  } catch (error) {
    end();
    await enrolling;
    throw error;
  }
  await enrolling;
  return done.resent;
}

async function judge(
  server: Server,
  plan: KillPlan,
  devices: Device[],
  ledger: string,
  resent: number,
): Promise<KillReport> {
  const held = readFileSync(ledger, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; certificate: string });
  const rows = await settled(server);
  const bySerial = new Map(rows.map((row) => [row.serial, row]));
  const keys = new Map(devices.map((device) => [device.id, device.key]));
  const lost: string[] = [];
  const wrongKey: string[] = [];
  for (const { id, certificate } of held) {
    const parsed = readCertificate(Buffer.from(certificate, 'base64'));
    const row = bySerial.get(parsed.serial);
    if (row?.status !== 'active' || row.deviceId !== id) lost.push(parsed.serial);
    if (!keys.get(id)?.spki.equals(parsed.publicKey.spki)) wrongKey.push(id);
  }
  const missing = devices.filter((device) => !held.some((one) => one.id === device.id)).map((device) => device.id);
  const heldSerials = new Set(
    held.map(({ certificate }) => readCertificate(Buffer.from(certificate, 'base64')).serial),
  );
  return {
    kills: plan.kills,
    enrollments: devices.length,
    held: held.length,
    resent,
    lost: [...lost, ...missing],
    wrongKey,
    duplicates: held.length - heldSerials.size,
    openIntents: rows.filter((row) => row.status === 'issuing').length,
    // Every certificate that became active belongs to exactly the device that holds it.
    signedWithoutRow: rows
      .filter((row) => row.status === 'active' && !heldSerials.has(row.serial))
      .map((row) => row.serial),
  };
}

/** All device certificates, once no intent is open any more; the reconciler runs at start and every minute. */
export async function settled(server: Server): Promise<Listed['items']> {
  const until = performance.now() + 90_000;
  for (;;) {
    const rows: Listed['items'] = [];
    for (let cursor = ''; ;) {
      const reply = await server.api('GET', `/v1/certificates?profile=device&limit=200${cursor}`);
      const page = reply.json<Listed>();
      rows.push(...page.items);
      if (page.nextCursor === null) break;
      cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
    }
    if (!rows.some((row) => row.status === 'issuing') || performance.now() > until) return rows;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function lanes(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 8 }, lane));
}

/** Mulberry32: the same moments for the same seed, as far as a scheduler allows. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
