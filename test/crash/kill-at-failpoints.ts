import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCertificate } from '#pki';
import { certificateOf, newKey, type DeviceKey } from '../harness/device.js';
import type { Reply } from '../harness/http.js';
import { ProcessInstance } from '../harness/process-instance.js';
import { registerAll, Server, settled, type Device } from './enroll-under-kills.js';

/**
 * The moments between a request and its answer at which something could be lost; last the one that leaves most to be done, so
 * that it is seen how long that takes.
 */
export const FAILPOINTS = [
  'before-intent',
  'after-commit',
  'before-reply',
  'before-commit',
  'after-sign',
  'after-intent',
] as const;
type Failpoint = (typeof FAILPOINTS)[number];
type Operation = 'simpleenroll' | 'simplereenroll';

const HOOK = fileURLToPath(new URL('./failpoint-hook.mjs', import.meta.url));

export interface FailpointReport {
  /** `<operation> <point>` of every time that the process was killed there. */
  killed: string[];
  /** Of requests that were sent again at once, and of those sent again when all was quiet: without a certificate in the end. */
  without: string[];
  wrongKey: string[];
  openIntents: number;
  /** Seconds after the last kill. */
  closedAfter: number;
  /** Serials that became good and that no client holds: signed, and lost. */
  held: number;
  unheld: string[];
}

interface Attempt {
  device: Device;
  key: DeviceKey;
  /** Of a renewal: the one that is renewed. */
  current: Buffer | undefined;
  certificate: Buffer | undefined;
  what: string;
}

/**
 * The process is killed at each point, `rounds` times. Of every two requests, the first is sent again when no intent is open
 * any more, the second at once, with the very same secret or certificate.
 */
export async function killAtFailpoints(operations: readonly Operation[], rounds: number): Promise<FailpointReport> {
  const directory = mkdtempSync(path.join(tmpdir(), 'touchmark-failpoint-'));
  const file = path.join(directory, 'point');
  const instance = await ProcessInstance.prepared({ NODE_OPTIONS: `--import ${HOOK}`, FAILPOINT_FILE: file });
  try {
    const server = new Server(instance);
    await server.start();
    const cases = operations.flatMap((operation) =>
      FAILPOINTS.flatMap((point) => Array.from({ length: rounds }, () => ({ operation, point }))),
    );
    const devices = await registerAll(server, cases.length);
    const renewing = cases.filter(({ operation }) => operation === 'simplereenroll').length;
    const first = await enrolled(server, devices.slice(0, renewing));
    const attempts: Attempt[] = [];
    let killedAt = 0;
    for (const [at, { operation, point }] of cases.entries()) {
      const attempt = attemptOf(operation, point, first, devices);
      attempts.push(attempt);
      killedAt = await interrupt(server, file, point, attempt);
      if ((cases.length - at) % 2 === 0) await send(server, attempt);
    }
    return await judge(server, killedAt, attempts, [...first.values()]);
  } finally {
    await instance.dispose();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function enrolled(server: Server, devices: readonly Device[]): Promise<Map<Device, Buffer>> {
  const first = new Map<Device, Buffer>();
  for (const device of devices) first.set(device, certificateOf(await server.enroll(device)));
  return first;
}

function attemptOf(
  operation: Operation,
  point: Failpoint,
  first: ReadonlyMap<Device, Buffer>,
  devices: Device[],
): Attempt {
  const renews = operation === 'simplereenroll';
  const at = devices.findIndex((device) => first.has(device) === renews);
  const [device] = devices.splice(at, 1);
  if (!device) throw new Error('too few devices');
  const key = renews ? newKey() : device.key;
  return { device, key, current: first.get(device), certificate: undefined, what: `${operation} ${point}` };
}

const request = (server: Server, { device, key, current }: Attempt): Promise<Reply> =>
  current ? server.renew(device, current, key) : server.enroll(device);

/** Answers when it was killed. */
async function interrupt(server: Server, file: string, point: Failpoint, attempt: Attempt): Promise<number> {
  writeFileSync(file, point);
  const { child } = server.instance;
  const ended = new Promise((resolve) => child?.once('exit', (_, signal) => resolve(signal)));
  const reply = await request(server, attempt).catch(() => undefined);
  if (reply || existsSync(file)) throw new Error(`not killed at ${attempt.what}: ${reply?.status} ${reply?.text}`);
  if ((await ended) !== 'SIGKILL') throw new Error(`ended otherwise at ${attempt.what}`);
  const killedAt = performance.now();
  await server.start();
  return killedAt;
}

async function send(server: Server, attempt: Attempt): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const reply = await request(server, attempt);
    if (reply.status === 200) {
      attempt.certificate = certificateOf(reply);
      return;
    }
    if (reply.status !== 503) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function judge(
  server: Server,
  killedAt: number,
  attempts: Attempt[],
  before: readonly Buffer[],
): Promise<FailpointReport> {
  const quiet = await settled(server);
  const closedAfter = Math.round((performance.now() - killedAt) / 1000);
  for (const attempt of attempts.filter(({ certificate }) => certificate === undefined)) await send(server, attempt);
  const rows = await settled(server);
  const held = new Map<string, Attempt | undefined>(before.map((der) => [readCertificate(der).serial, undefined]));
  for (const attempt of attempts) {
    if (attempt.certificate) held.set(readCertificate(attempt.certificate).serial, attempt);
  }
  const good = rows.filter((row) => row.status === 'active');
  const has = (attempt: Attempt): boolean =>
    good.some((row) => row.deviceId === attempt.device.id && held.get(row.serial) === attempt);
  return {
    killed: attempts.map(({ what }) => what),
    without: attempts.filter((attempt) => !has(attempt)).map(({ what }) => what),
    wrongKey: attempts.filter((one) => !rightKey(one)).map(({ what }) => what),
    openIntents: [...quiet, ...rows].filter((row) => row.status === 'issuing').length,
    closedAfter,
    held: held.size,
    unheld: good.filter((row) => !held.has(row.serial)).map((row) => row.serial),
  };
}

const rightKey = ({ certificate, key }: Attempt): boolean =>
  certificate !== undefined && readCertificate(certificate).publicKey.spki.equals(key.spki);
