import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { buildProgram } from '../../apps/touchmark/src/program.js';
import { selfSigned } from '../est/self-signed.js';

const LABEL = { name: 'factory', version: 3, profile: 'device', authentication: ['secret'], digest: true };

let directory: string;
let server: Server;
let options: string[];
let received: unknown[][];

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'touchmark-cli-'));
  const { key, cert } = await selfSigned();
  server = createServer({ key, cert }, (request, response) => {
    void readStream(request).then((body) => {
      received.push([`${request.method} ${request.url}`, ...(body === '' ? [] : [JSON.parse(body)])]);
      const asksForLabel = `${request.method} ${request.url}` === 'GET /v1/est-labels/factory';
      response.end(JSON.stringify(asksForLabel ? LABEL : { approvalId: 'p1', items: [LABEL] }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `https://localhost:${(server.address() as AddressInfo).port}`;
  const [ca, token] = [await file('ca.pem', cert), await file('token', 'tmo1_token\n')];
  options = ['--url', url, '--token-file', token, '--ca', ca];
});
afterAll(async () => {
  server?.close();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  received = [];
});

async function file(name: string, content: string | Buffer): Promise<string> {
  await writeFile(path.join(directory, name), content);
  return path.join(directory, name);
}

/** What the command asked the API for, and what it printed. */
async function run(...args: string[]): Promise<{ asked: unknown[][]; printed: string }> {
  const write = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    received = [];
    await buildProgram().parseAsync(['node', 'touchmark', ...args, ...options]);
    return { asked: received, printed: write.mock.calls.map(([text]) => String(text)).join('') };
  } finally {
    write.mockRestore();
  }
}

test('labels are proposed from options over what there is, or from a file, and withdrawn', async () => {
  const set = ['est-label', 'set', 'factory', '--authentication', 'manufacturer, certificate', '--anchors', 'acme'];
  const changed = await run(...set, '--no-approval');
  expect(changed.asked).toEqual([
    ['GET /v1/est-labels/factory'],
    [
      'PUT /v1/est-labels/factory',
      {
        ...{ profile: 'device', authentication: ['manufacturer', 'certificate'], digest: true },
        ...{ anchors: ['acme'], approval: false },
      },
    ],
  ]);
  expect(changed.printed).toContain('second person approves');
  const document = await file('label.json', JSON.stringify(LABEL));
  const { name: _name, version: _version, ...settings } = LABEL;
  expect((await run('est-label', 'import', 'plant', document)).asked).toEqual([['PUT /v1/est-labels/plant', settings]]);
  expect((await run('est-label', 'withdraw', 'plant')).asked).toEqual([['DELETE /v1/est-labels/plant']]);
  expect((await run('est-label', 'list')).printed).toMatch(/factory +3 +device +secret/);
  expect((await run('est-label', 'export', 'a/b')).asked).toEqual([['GET /v1/est-labels/a%2Fb']]);
  await expect(run('est-label', 'import', 'plant', await file('bad.json', '[]'))).rejects.toThrow(/not a JSON object/);
});

test('sets of trust anchors are proposed with their certificates, and CRLs are brought', async () => {
  const [pem, crl] = [await file('acme.pem', 'PEM\n'), await file('acme.crl', Buffer.from([0x30, 0]))];
  const set = ['trust-anchor', 'set', 'acme', '--app', 'a1', '--certificate', pem];
  expect(
    (await run(...set, '--revocation', 'crl', '--crl-max-age', '7d', '--registers-per-minute', '5')).asked,
  ).toEqual([
    [
      'PUT /v1/trust-anchors/acme',
      {
        ...{ appId: 'a1', certificates: ['PEM\n'], intermediates: [], revocation: 'crl' },
        ...{ crlMaxAgeSeconds: 604_800, registersPerMinute: 5 },
      },
    ],
  ]);
  expect((await run('trust-anchor', 'crl', 'acme', crl)).asked).toEqual([
    ['POST /v1/trust-anchors/acme/crls', { crl: 'MAA=' }],
  ]);
  expect((await run('trust-anchor', 'withdraw', 'acme')).asked).toEqual([['DELETE /v1/trust-anchors/acme']]);
  expect((await run('trust-anchor', 'show', 'acme')).asked).toEqual([['GET /v1/trust-anchors/acme']]);
});

test('fingerprints are added, listed and removed, and come with a new device', async () => {
  expect((await run('fingerprint', 'add', 'd1', 'AB:CD', '--of', 'key')).asked).toEqual([
    ['POST /v1/devices/d1/fingerprints', { of: 'key', sha256: 'AB:CD' }],
  ]);
  expect((await run('fingerprint', 'list', '--device', 'd1')).asked).toEqual([['GET /v1/devices/d1/fingerprints']]);
  expect((await run('fingerprint', 'remove', 'd1', 'f1')).asked).toEqual([['DELETE /v1/devices/d1/fingerprints/f1']]);
  const create = ['device', 'create', '--app', 'a1', '--manufacturer', 'acme:SN:1'];
  expect((await run(...create, '--certificate-fingerprint', 'ab')).asked).toEqual([
    [
      'POST /v1/devices',
      { appId: 'a1', manufacturerId: { anchors: 'acme', id: 'SN:1' }, certificateFingerprint: 'ab' },
    ],
  ]);
});

test('transport keys are added from a file alone, listed and removed', async () => {
  const key = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  const add = async (content: string | Buffer) =>
    (await run('transport-key', 'add', 'd1', '6B657937', '--key-file', await file('device.key', content))).asked;
  const registered = [['PUT /v1/devices/d1/transport-keys/6b657937', { key: key.toString('base64') }]];
  for (const content of [key, `${key.toString('hex')}\n`, key.toString('hex').toUpperCase(), key.toString('base64')]) {
    expect(await add(content)).toEqual(registered);
  }
  const wide = Buffer.alloc(32, 0xc3);
  expect(await add(wide)).toEqual([[expect.any(String), { key: wide.toString('base64') }]]);
  for (const content of ['', Buffer.alloc(24, 0xc3), wide.subarray(0, 24).toString('base64'), 'x'.repeat(32)]) {
    await expect(add(content)).rejects.toThrow(/must hold 16 or 32 bytes/);
    expect(received).toEqual([]);
  }
  const listed = await run('transport-key', 'list', '--device', 'd1');
  expect(listed.asked).toEqual([['GET /v1/devices/d1/transport-keys']]);
  expect(JSON.parse((await run('transport-key', 'list', '--device', 'd1', '--json')).printed)).toMatchObject({
    items: [{ name: 'factory' }],
  });
  expect((await run('transport-key', 'remove', 'd1', '6b657937')).asked).toEqual([
    ['DELETE /v1/devices/d1/transport-keys/6b657937'],
  ]);
});
