import { afterAll, beforeAll, expect, test } from '@jest/globals';
import http from 'node:http';
import https from 'node:https';
import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { der, makeCertId, newSerial, OID, readCertificate, readOcspResponse } from '#pki';
import { basic, csrOf, newKey } from '../harness/device.js';
import { call, type Reply } from '../harness/http.js';
import { ProcessInstance, type Ready } from '../harness/process-instance.js';

const SEED = 20_261_121;
const EST_MUTANTS = 30_000;
const OCSP_MUTANTS = 150_000;
/** Resident memory may grow by so much in a second round as long as the first, after which the heap has its size. */
const GROWTH_MB = 64;

let instance: ProcessInstance;
let ready: Ready;
let ca: string;
let token: string;

beforeAll(async () => {
  instance = await ProcessInstance.prepared({ LOG_LEVEL: 'fatal' });
  ready = await instance.start();
  ca = await readFile(ready.root, 'utf8');
  token = (await readFile(ready.operatorToken, 'utf8')).trim();
});
afterAll(() => instance.dispose());

const api = (method: string, route: string, body?: unknown): Promise<Reply> =>
  call(`${ready.api}${route}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    tls: { ca },
  });

function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

/** One to three edits of a tree of DER: bits, octets, lengths, cuts, doubled stretches. */
function mutate(bytes: Buffer, below: (bound: number) => number): Buffer {
  let mutant = Buffer.from(bytes);
  for (let edits = 1 + below(3); edits > 0 && mutant.length > 1; edits--) {
    const at = below(mutant.length);
    const stretch = 1 + below(16);
    switch (below(5)) {
      case 0:
        mutant[at] = mutant[at]! ^ (1 << below(8));
        break;
      case 1:
        mutant[at] = below(256);
        break;
      case 2:
        mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(at + stretch)]);
        break;
      case 3:
        mutant = Buffer.concat([mutant.subarray(0, at + stretch), mutant.subarray(at)]);
        break;
      default:
        mutant = Buffer.from(mutant.subarray(0, Math.max(at, 1)));
    }
  }
  return mutant;
}

const residentMb = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${ready.pid}/status`, 'utf8'))![1]) / 1024;

async function lanes(count: number, width: number, work: (i: number) => Promise<void>): Promise<number[]> {
  let next = 0;
  const took: number[] = [];
  const lane = async () => {
    while (next < count) {
      const began = performance.now();
      await work(next++);
      took.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  return took.sort((a, b) => a - b);
}

const report = (what: string, took: number[], growth: number): void => {
  const at = (share: number) => took[Math.floor((took.length - 1) * share)]!.toFixed(1);
  process.stdout.write(
    `${what}: ${took.length} mutants, seed ${SEED}, p50 ${at(0.5)} ms, p99.9 ${at(0.999)} ms, max ${at(1)} ms, ` +
      `memory ${growth >= 0 ? '+' : ''}${growth.toFixed(0)} MB\n`,
  );
};

test(`${EST_MUTANTS} mutated enrollments with a good secret: each refused with 4xx, none issues, memory does not grow`, async () => {
  const vendor = (await api('POST', '/v1/organizations', { name: 'V', kind: 'vendor' })).json<{ id: string }>();
  const app = (await api('POST', '/v1/apps', { name: 'A', vendorId: vendor.id })).json<{ id: string }>();
  const device = (await api('POST', '/v1/devices', { appId: app.id })).json<{
    id: string;
    instanceId: string;
    enrollment: { username: string; secret: string };
  }>();
  const good = csrOf(device, newKey());
  const agent = new https.Agent({ keepAlive: true, maxSockets: 8 });
  const below = numbers(SEED);
  const authorization = basic(device.enrollment.username, device.enrollment.secret);
  const send = async (mutant: Buffer) =>
    call(`${ready.est}/.well-known/est/simpleenroll`, {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/pkcs10' },
      body: mutant.toString('base64'),
      tls: { ca },
      agent,
    });
  const odd: string[] = [];
  const statuses: Record<string, number> = {};
  const one = async () => {
    const mutant = mutate(good, below);
    if (mutant.equals(good)) return;
    const reply = await send(mutant);
    statuses[reply.status] = (statuses[reply.status] ?? 0) + 1;
    if (reply.status < 400 || reply.status >= 500) odd.push(`${reply.status} ${mutant.toString('base64')}`);
  };
  await lanes(EST_MUTANTS, 8, one);
  const before = residentMb();
  const took = await lanes(EST_MUTANTS, 8, one);
  const growth = residentMb() - before;
  agent.destroy();
  report(`EST ${JSON.stringify(statuses)}`, took, growth);
  expect(odd).toEqual([]);
  // Whom a limit keeps out meets nothing of what is behind it.
  expect(statuses[429] ?? 0).toBeLessThan(EST_MUTANTS / 50);
  expect(growth).toBeLessThan(GROWTH_MB);
  const issued = (await api('GET', `/v1/certificates?deviceId=${device.id}`)).json<{ items: unknown[] }>();
  expect(issued.items).toEqual([]);
});

test(`${OCSP_MUTANTS} mutated OCSP requests: each answered with an OCSP response, never internalError, memory does not grow`, async () => {
  const issuers = (await api('GET', '/v1/issuers')).json<{ items: { id: string; kind: string }[] }>();
  const issuing = issuers.items.find((issuer) => issuer.kind === 'issuing')!;
  const issuer = readCertificate((await call(`${ready.status}/ca/${issuing.id}.cer`)).body);
  const certId = makeCertId('sha1', issuer.subjectDer, issuer.publicKey, newSerial());
  const nonce = der.sequence(der.oid(OID.ocspNonce), der.octetString(der.octetString(Buffer.alloc(32, 7))));
  const good = der.sequence(
    der.sequence(der.sequence(der.sequence(certId.der)), der.constructed(2, der.sequence(nonce))),
  );
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const below = numbers(SEED + 1);
  const odd: string[] = [];
  const one = async () => {
    const mutant = mutate(good, below);
    const reply = await call(`${ready.status}/ocsp`, {
      method: 'POST',
      headers: { 'content-type': 'application/ocsp-request', 'content-length': String(mutant.length) },
      body: mutant,
      agent,
    });
    const status = reply.status === 200 ? readOcspResponse(reply.body).status : `HTTP ${reply.status}`;
    if (!['successful', 'malformedRequest', 'unauthorized'].includes(status))
      odd.push(`${status} ${mutant.toString('hex')}`);
  };
  await lanes(OCSP_MUTANTS, 8, one);
  const before = residentMb();
  const took = await lanes(OCSP_MUTANTS, 8, one);
  const growth = residentMb() - before;
  agent.destroy();
  report('OCSP', took, growth);
  expect(odd).toEqual([]);
  expect(growth).toBeLessThan(GROWTH_MB);
});
