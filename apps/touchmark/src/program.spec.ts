import 'reflect-metadata';
import { X509CertificateGenerator, SubjectAlternativeNameExtension, cryptoProvider } from '@peculiar/x509';
import type { Command } from 'commander';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text as readStream } from 'node:stream/consumers';
import { runSource } from '../test/run-source.js';
import { processIdentity } from './process-identity.js';
import { buildProgram } from './program.js';
import { writeReady } from './ready.js';

interface Received {
  method: string | undefined;
  url: string | undefined;
  authorization: string | undefined;
  idempotencyKey: unknown;
  body: string;
}

let home: string;
let server: Server;
let url: string;
let certificate: string;
let received: Received[];
let reply: { status: number; body: unknown; headers?: Record<string, string> };

beforeAll(async () => {
  cryptoProvider.set(globalThis.crypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=api of the test',
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: new Date('2049-01-01T00:00:00Z'),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  certificate = made.toString('pem');
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`;
  server = createServer({ key, cert: certificate }, (request, response) => {
    void readStream(request).then((body) => {
      const { method, url: target, headers } = request;
      const { authorization } = headers;
      received.push({ method, url: target, authorization, idempotencyKey: headers['idempotency-key'], body });
      response
        .writeHead(reply.status, reply.headers)
        .end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
});

beforeEach(async () => {
  received = [];
  reply = { status: 200, body: {} };
  home = await mkdtemp(path.join(tmpdir(), 'tm-cli-'));
  await writeFile(path.join(home, 'root-ca.pem'), certificate);
  await writeFile(path.join(home, 'operator.token'), 'tmo1_token\n');
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const token = () => path.join(home, 'operator.token');
const root = () => path.join(home, 'root-ca.pem');

async function instanceRuns(more: { warnings?: string[] } = {}): Promise<void> {
  await writeFile(path.join(home, 'instance-1.pid'), JSON.stringify(await processIdentity(process.pid)));
  const urls = { est: url, api: url, status: url };
  await writeReady(home, { pid: process.pid, ...urls, root: root(), operatorToken: token(), ...more });
}

function touchmark(args: string[], options: { input?: string; env?: Record<string, string> } = {}) {
  const { input = '', env = {} } = options;
  return runSource('src/main.ts', args, { input, env: { TOUCHMARK_HOME: home, ...env } }).ended();
}

describe('command line', () => {
  test('finds the instance by its home, sends the token over verified TLS and prints a table', async () => {
    await instanceRuns();
    const items = [
      {
        id: '01tSaqXyBDHyM6',
        status: 'active',
        environment: 'live',
        releaseId: 'r1',
        expiresAt: '2027-01-01T00:00:00Z',
      },
      { id: '2', status: 'revoked', environment: 'test', releaseId: 'r\u001b[31m2', expiresAt: null },
    ];
    reply = { status: 200, body: { items, nextCursor: 'abc' } };
    const { status, stdout, stderr } = await touchmark(['key', 'list', '--status', 'active', '--limit', '2']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toBe(
      'ID              STATUS   ENVIRONMENT  RELEASE  EXPIRES\n' +
        '01tSaqXyBDHyM6  active   live         r1       2027-01-01T00:00:00Z\n' +
        '2               revoked  test         r?[31m2  -\n\nMore: add --cursor abc\n',
    );
    expect(received).toMatchObject([
      { method: 'GET', url: '/v1/keys?limit=2&status=active', authorization: 'Bearer tmo1_token' },
    ]);
  });

  test('--json prints the answer unchanged, with everything given by option and no instance of our own', async () => {
    reply = { status: 201, body: { id: '1', key: 'tmk1_live_x', nested: { a: [1] } } };
    const where = ['--url', url, '--token-file', token(), '--ca', root(), '--json'];
    const args = [
      'key',
      'create',
      '--release',
      'r1',
      '--audience',
      'countries:US,CA',
      '--expires',
      '2027-01-31T00:00:00Z',
    ];
    const { status, stdout } = await touchmark([...args, ...where]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(reply.body);
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({
      releaseId: 'r1',
      audience: { countries: ['US', 'CA'] },
      environment: 'live',
      expiresAt: '2027-01-31T00:00:00Z',
    });
    expect(received[0]?.idempotencyKey).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('org quota shows both quotas, changes what is given, and refuses what is no count', async () => {
    await instanceRuns();
    reply = { status: 200, body: { requestsPerMinute: 7, issuancePerMinute: null } };
    expect((await touchmark(['org', 'quota', 'o1'])).stdout).toContain('requestsPerMinute  7');
    expect((await touchmark(['org', 'quota', 'o1', '--issuance', '600'])).status).toBe(0);
    expect(received.map(({ method, url: at }) => `${method} ${at}`)).toEqual([
      ...['GET /v1/organizations/o1/quotas', 'GET /v1/organizations/o1/quotas', 'PUT /v1/organizations/o1/quotas'],
    ]);
    expect(JSON.parse(received[2]?.body ?? '')).toEqual({ requestsPerMinute: 7, issuancePerMinute: 600 });
    expect((await touchmark(['org', 'quota', 'o1', '--requests', 'default'])).status).toBe(0);
    expect(JSON.parse(received.at(-1)!.body)).toMatchObject({ requestsPerMinute: null });
    received.splice(3);
    expect((await touchmark(['org', 'quota', 'o1', '--requests', '0'])).status).toBe(2);
  });

  test('status repeats what the instance warned of at its start, whatever its own environment says', async () => {
    await instanceRuns({ warnings: ['one person alone'] });
    const env = { TOUCHMARK_SINGLE_OPERATOR: 'false', TOUCHMARK_AUDIT_WITNESSES: 'file:/mnt/a,file:/mnt/b' };
    expect((await touchmark(['status'], { env })).stdout).toMatch(/\n\none person alone\n$/);
    const { stdout } = await touchmark(['status', '--json'], { env });
    expect(JSON.parse(stdout)).toMatchObject({ warnings: ['one person alone'] });
  });

  test('a role or a state that does not exist is a usage error and never sent', async () => {
    await instanceRuns();
    expect((await touchmark(['role', 'grant', 'p1', 'king'])).status).toBe(2);
    expect((await touchmark(['role', 'withdraw', 'p1', 'king'])).status).toBe(2);
    expect((await touchmark(['approval', 'list', '--state', 'open'])).status).toBe(2);
    expect(received).toEqual([]);
    expect((await touchmark(['role', 'grant', 'p1', 'approver', 'admin'])).status).toBe(0);
    expect(JSON.parse(received[0]!.body)).toEqual({ roles: ['approver', 'admin'] });
  });

  test('names are claimed, proved, given to devices and ended by their commands', async () => {
    await instanceRuns();
    reply = { status: 200, body: { id: 'd1', challenge: { name: '_touchmark-challenge.a.example', value: 'x' } } };
    const { stdout } = await touchmark(['domain', 'claim', 'a.example', '--proof', 'dns']);
    expect(stdout).toContain('Put the TXT record of the challenge into DNS');
    await touchmark(['domain', 'verify', 'd1']);
    await touchmark(['user', 'create', 'alice@a.example', '--type', 'im', 'email']);
    await touchmark(['device', 'change', 'd2', '--name', 'im:alice@a.example', '--reason', 'superseded']);
    await touchmark(['user', 'disable', 'u1', '--reason', 'affiliationChanged']);
    expect(received.map(({ method, url: at, body }) => [`${method} ${at}`, JSON.parse(body) as unknown])).toEqual([
      ['POST /v1/domains', { name: 'a.example', proof: 'dns' }],
      ['POST /v1/domains/d1/verify', {}],
      ['POST /v1/users', { address: 'alice@a.example', types: ['im', 'email'] }],
      ['PATCH /v1/devices/d2', { names: ['im:alice@a.example'], reason: 'superseded' }],
      ['POST /v1/users/u1/disable', { reason: 'affiliationChanged' }],
    ]);
  });

  test('deliveries say how the last try ended', async () => {
    await instanceRuns();
    const tried = { id: 'd1', state: 'pending', attempts: [{ error: 'timeout' }, { status: 500, error: 'status' }] };
    reply.body = { items: [tried, { id: 'd2', state: 'pending', attempts: [] }], nextCursor: null };
    const { stdout } = await touchmark(['webhook', 'deliveries', 'w1']);
    expect(stdout.split('\n').slice(1, 3)).toEqual([
      expect.stringMatching(/^d1 .* 2 +500$/),
      expect.stringMatching(/^d2 .* 0 +-$/),
    ]);
    expect(JSON.parse((await touchmark(['webhook', 'deliveries', 'w1', '--json'])).stdout)).toEqual(reply.body);
  });

  test('a secret is shown with the note that it is shown once', async () => {
    await instanceRuns();
    reply = { status: 201, body: { id: 'd1', enrollment: { username: 'd1', secret: 'tme1_x' } } };
    const { stdout } = await touchmark(['device', 'create', '--app', 'a1']);
    expect(stdout).toMatch(/enrollment\.secret +tme1_x\n\n.*shown only here/);
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({ appId: 'a1' });
  });

  test('an operation that waits for a second person says so', async () => {
    await instanceRuns();
    reply = { status: 202, body: { approvalId: 'p1', digest: 'x', expiresAt: 'y' } };
    const { stdout } = await touchmark(['device', 'reset', 'd1']);
    expect(stdout).toMatch(/approvalId +p1[^]*second person approves/);
    expect(stdout).not.toContain('secret');
  });

  test('people and tokens: each command asks the route it is named after, and a code or token comes with its note', async () => {
    await instanceRuns();
    reply = { status: 201, body: { id: 'i1', code: 'tmi1_x', expiresAt: 'y' } };
    expect((await touchmark(['person', 'invite', 'p/1'])).stdout).toMatch(/code +tmi1_x[^]*signs in with it once/);
    reply = { status: 201, body: { id: 't1', token: 'tmo1_x' } };
    const create = ['token', 'create', 'CI', '--role', 'officer', 'auditor', '--organization', 'o1'];
    expect((await touchmark(create)).stdout).toMatch(/token +tmo1_x\n\n.*shown only here/);
    reply = { status: 200, body: { items: [] } };
    await touchmark(['person', 'create', 'Ada', '--email', 'a@example.org']);
    await touchmark(['person', 'list']);
    await touchmark(['person', 'get', 'p1']);
    await touchmark(['person', 'remove', 'p1']);
    await touchmark(['token', 'list', '--kind', 'machine']);
    await touchmark(['token', 'rotate', 't1', '--overlap', '1h']);
    await touchmark(['token', 'revoke', 't1']);
    await touchmark(['whoami']);
    expect(
      received.map(({ method, url: at, body }) => [`${method} ${at}`, ...(body === '' ? [] : [JSON.parse(body)])]),
    ).toEqual([
      ['POST /v1/people/p%2F1/invitations', {}],
      ['POST /v1/tokens', { name: 'CI', kind: 'machine', roles: ['officer', 'auditor'], organizationId: 'o1' }],
      ['POST /v1/people', { name: 'Ada', email: 'a@example.org' }],
      ['GET /v1/people'],
      ['GET /v1/people/p1'],
      ['DELETE /v1/people/p1'],
      ['GET /v1/tokens?kind=machine'],
      ['POST /v1/tokens/t1/rotate', { overlapSeconds: 3600 }],
      ['POST /v1/tokens/t1/revoke', {}],
      ['GET /v1/session'],
    ]);
    expect((await touchmark(['token', 'create', 'CI'])).status).toBe(2);
  }, 60_000);

  test('CAs and profiles are changed by proposals, and what they would become is checked first', async () => {
    await instanceRuns();
    reply = { status: 202, body: { approvalId: 'p1', digest: 'x', expiresAt: 'y' } };
    const commands = [
      ['ca', 'create', 'Second CA'],
      ['ca', 'activate', 'i1'],
      ['ca', 'revoke', 'i1', '--reason', 'cACompromise'],
      ['profile', 'set', 'device', '--validity', '30d', '--key-types', 'ec-p256, ec-p384'],
    ];
    for (const args of commands) expect((await touchmark(args)).stdout).toContain('second person approves');
    expect(received.map(({ method, url: at, body }) => [`${method} ${at}`, JSON.parse(body) as unknown])).toEqual([
      ['POST /v1/issuers', { name: 'Second CA' }],
      ['POST /v1/issuers/i1/activate', {}],
      ['POST /v1/issuers/i1/revoke', { reason: 'cACompromise' }],
      ['PATCH /v1/profiles/device', { validitySeconds: 2_592_000, keyTypes: ['ec-p256', 'ec-p384'] }],
    ]);
    expect((await touchmark(['profile', 'set', 'device', '--validity', 'long'])).status).toBe(2);
    expect((await touchmark(['profile', 'set', 'device', '--key-types', 'ec-p256,,'])).status).toBe(2);
    expect(received).toHaveLength(commands.length);
  }, 60_000);

  test('blocking keys sends digests alone, in batches, and says what waits for a second person', async () => {
    await instanceRuns();
    const file = path.join(home, 'keys.txt');
    const digests = Array.from({ length: 501 }, (_, i) => i.toString(16).padStart(64, '0'));
    await writeFile(file, `# leaked\n${digests.join('\n')}\n`);
    const proposed = { approvalId: 'p1', digest: 'x', expiresAt: 'y' };
    reply = { status: 201, body: { importId: 'i1', added: 1, known: 0, affected: 1, proposed } };
    const { stdout } = await touchmark(['blocked-key', 'import', file, '--reason', 'published', '--revoke']);
    expect(stdout).toMatch(/importId +i1[^]*second person approves/);
    const sent = received.map(({ body }) => JSON.parse(body) as { keys: string[]; reason: string; revoke: boolean });
    expect(sent.map(({ keys }) => keys.length)).toEqual([500, 1]);
    expect(sent[1]).toEqual({ keys: [digests[500]], reason: 'published', revoke: true });
    await writeFile(file, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
    const refused = await touchmark(['blocked-key', 'import', file, '--reason', 'x']);
    expect([refused.status, received.length]).toEqual([1, 2]);
    expect(refused.stderr).toMatch(/never to be sent/);
  });

  test('profiles go into files and come out of them, each fault of a file is told; a request is tried out', async () => {
    await instanceRuns();
    reply = { status: 202, body: { approvalId: 'p1', digest: 'x', expiresAt: 'y' } };
    const camera = {
      name: 'camera',
      description: 'Cameras',
      keyTypes: ['ec-p256'],
      eku: ['1.3.6.1.5.5.7.3.17'],
      validitySeconds: 86_400,
      subject: 'device',
      san: [{ type: 'uuid', min: 1, max: 1 }],
    };
    const [good, bad] = [path.join(home, 'camera.json'), path.join(home, 'bad.json')];
    await writeFile(good, JSON.stringify(camera));
    await writeFile(bad, JSON.stringify({ ...camera, name: 'Camera', keyTypes: [], approval: 1 }));
    const csr = path.join(home, 'device.csr');
    await writeFile(csr, Buffer.of(0x30, 0x00));
    const [checked, refused, imported, shown, withdrawn, tried] = await Promise.all([
      touchmark(['profile', 'check', bad]),
      touchmark(['profile', 'import', bad]),
      touchmark(['profile', 'import', good]),
      touchmark(['profile', 'show', 'camera', '--version', '1', '--json']),
      touchmark(['profile', 'withdraw', 'camera']),
      touchmark(['device', 'dry-run', 'd1', '--csr', csr, '--label', 'camera']),
    ]);
    for (const { status, stderr } of [checked, refused]) {
      expect([status, stderr]).toEqual([1, expect.stringMatching(/ {2}name: .*\n {2}keyTypes: .*\n {2}approval: /)]);
    }
    expect(imported.stdout).toContain('second person approves');
    // Allowed, and yet it may surprise.
    expect(imported.stderr).toContain('clientAuth');
    expect([shown.status, withdrawn.status, tried.status]).toEqual([0, 0, 0]);
    const sent = received.map(({ method, url: at, body }) => [`${method} ${at}`, body]);
    expect(sent.sort()).toEqual([
      ['DELETE /v1/profiles/camera', ''],
      ['GET /v1/profiles/camera?version=1', ''],
      ['POST /v1/devices/d1/dry-run', JSON.stringify({ csr: 'MAA=', label: 'camera' })],
      ['PUT /v1/profiles/camera', JSON.stringify(camera)],
    ]);
  }, 60_000);

  test('approving shows what is approved and sends its digest along', async () => {
    await instanceRuns();
    reply.body = {
      id: 'a1',
      operation: 'group.revoke',
      subject: 'group:g1',
      digest: 'ab'.repeat(32),
      state: 'proposed',
    };
    const { stdout } = await touchmark(['approval', 'approve', 'a1']);
    expect(stdout).toContain('You approve:');
    expect(stdout).toContain('group:g1');
    expect(received.map(({ method, url: at }) => `${method} ${at}`)).toEqual([
      'GET /v1/approvals/a1',
      'POST /v1/approvals/a1/approve',
    ]);
    expect(JSON.parse(received[1]!.body)).toEqual({ digest: 'ab'.repeat(32) });
    const looked = 'cd'.repeat(32);
    await touchmark(['approval', 'approve', 'a1', '--digest', looked]);
    expect(JSON.parse(received[3]!.body)).toEqual({ digest: looked });
    expect((await touchmark(['approval', 'approve', 'a1', '--digest', 'abc'])).status).toBe(2);
    expect(received).toHaveLength(4);
  });

  test('introspect takes the key from standard input', async () => {
    await instanceRuns();
    reply = { status: 200, body: { active: false } };
    const { stdout } = await touchmark(['introspect'], { input: 'tmk1_live_+x\n' });
    expect(stdout).toBe('active  false\n');
    expect(received[0]).toMatchObject({ method: 'POST', url: '/v1/introspect', body: 'token=tmk1_live_%2Bx' });
  });

  test('an id that is empty, as a variable that is not set, is said to be one and asks nothing', async () => {
    await instanceRuns();
    expect(await touchmark(['device', 'show', ''])).toEqual({
      status: 1,
      stdout: '',
      stderr: 'touchmark: An id or a name is empty: give the one you mean.\n',
    });
    expect(received).toEqual([]);
  });

  test('a problem becomes one readable line and status 1', async () => {
    await instanceRuns();
    const body = { type: '/problems/invalid', title: 'Invalid', detail: 'is no UUID', member: 'vendorId' };
    reply = { status: 400, body, headers: { 'content-type': 'application/problem+json' } };
    expect(await touchmark(['app', 'create', 'Relay', '--vendor', 'x'])).toEqual({
      status: 1,
      stdout: '',
      stderr: 'touchmark: vendorId: is no UUID (HTTP 400).\n',
    });
    reply = { status: 503, body: { detail: 'The database is down.' }, headers: { 'retry-after': '2' } };
    expect((await touchmark(['key', 'list'])).stderr).toBe(
      'touchmark: The database is down (HTTP 503; try again in 2 s).\n',
    );
    reply = { status: 502, body: '<html>' };
    expect(await touchmark(['key', 'list'])).toMatchObject({
      status: 1,
      stderr: 'touchmark: no reason given (HTTP 502).\n',
    });
  });

  test('a server that the given root does not vouch for gets no token', async () => {
    const { status, stderr } = await touchmark(['key', 'list', '--url', url, '--token-file', token()]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^touchmark: The certificate of https:\/\/127\.0\.0\.1:\d+ is not trusted: .*--ca.*\n$/);
    expect(received).toEqual([]);
  });

  test('the root of our own instance does not make another server trusted', async () => {
    await instanceRuns();
    expect((await touchmark(['key', 'list', '--url', url])).stderr).toContain('is not trusted');
  });

  test('a token is not sent without TLS', async () => {
    const args = ['key', 'list', '--url', url.replace('https', 'http'), '--token-file', token()];
    expect((await touchmark(args)).stderr).toMatch(/not an https:\/\/ URL/);
  });

  test('without an instance one line says how to get one', async () => {
    expect(await touchmark(['key', 'list'])).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^touchmark: No instance runs on .*npm start.*\n$/),
    });
    const { status, stdout } = await touchmark(['status', '--json']);
    expect({ status, said: JSON.parse(stdout) }).toEqual({ status: 1, said: { home, running: false, planes: [] } });
  });

  test('status asks each plane', async () => {
    await instanceRuns();
    const good = await touchmark(['status', '--json']);
    expect(good.status).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({
      running: true,
      pid: process.pid,
      planes: [{ plane: 'est', ready: true }, {}, {}],
    });
    reply = { status: 503, body: { reasons: ['database'] } };
    const bad = await touchmark(['status']);
    expect(bad.status).toBe(1);
    expect(bad.stdout).toMatch(/api +not ready +https.*database/);
  });

  test('wrong usage and wrong settings exit with 2 and one line', async () => {
    expect(await touchmark(['key', 'create', '--release', 'r', '--audience', 'mars'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('countries:US,CA'),
    });
    expect(await touchmark(['no-such-command'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('no-such-command'),
    });
    expect(await touchmark(['app', 'create', 'x'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--vendor'),
    });
    expect(await touchmark(['serve', '--planes', 'est,moon'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('"moon"'),
    });
    const bad = await touchmark(['serve'], { env: { TOUCHMARK_EST_PORT: 'abc' } });
    expect(bad).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^touchmark: TOUCHMARK_EST_PORT[^\n]*\n$/),
    });
  });

  test('a second instance on a home is refused in one line', async () => {
    await instanceRuns();
    const { status, stderr } = await touchmark(['serve']);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `touchmark: An instance already runs on ${home} (process ${process.pid}): stop it, or set another TOUCHMARK_HOME.\n`,
    });
  });

  test('every command has a description, and every one that runs an example that is a command', async () => {
    const leavesOf = (command: Command, path: string): [Command, string][] =>
      command.commands.length === 0
        ? [[command, path]]
        : command.commands.flatMap((one) => leavesOf(one, `${path} ${one.name()}`));
    const leaves = leavesOf(buildProgram(), 'npx touchmark');
    expect(leaves.length).toBeGreaterThan(30);
    for (const [leaf, path] of leaves) {
      expect(leaf.description()).not.toBe('');
      let help = '';
      leaf.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      expect(help).toContain(`Example:\n  ${path}`);
    }
    expect(await touchmark(['--help'])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('Exit status: 0 done'),
    });
    expect(await touchmark(['key', 'rotate', '--help'])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--overlap'),
    });
  });
});
