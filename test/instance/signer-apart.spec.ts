import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readPostmaster } from '../../apps/touchmark/src/postgres/postmaster.js';
import { openSecrets } from '../../apps/touchmark/src/secrets.js';
import { holdersOf } from '../../apps/touchmark/src/plane-secrets.js';
import { loadConfig } from '#kernel';
import { encodeCsr, generateKeyPair, OID, readCertsOnly, toPem } from '#pki';
import { certificateOf, csrOf, newKey, registerTestDevice, simpleEnroll } from '../harness/device.js';
import type { TestInstance } from '../harness/instance.js';
import { ProcessInstance } from '../harness/process-instance.js';
import { instanceAt } from '../harness/signer-process.js';

/** One process has the database and has made the CAs; signer and signing planes come as on machines of their own. */
let first: ProcessInstance;
let signer: ProcessInstance;
let planes: ProcessInstance;
let instance: TestInstance;
let env: Record<string, string>;
let caSecrets: string;
let planeSecrets: string;

beforeAll(async () => {
  first = await ProcessInstance.prepared({ TOUCHMARK_CANARY_SECONDS: '0' }, ['--planes', 'status']);
  await first.start();
  const { socketDirectory, port } = (await readPostmaster(path.join(first.home, 'pg')))!;
  const secrets = path.join(first.home, 'secrets');
  const password = encodeURIComponent((await readFile(path.join(secrets, 'db-superuser'), 'utf8')).trim());
  const host = encodeURIComponent(socketDirectory);

  planeSecrets = path.join(first.home, 'of-planes');
  caSecrets = path.join(first.home, 'of-signer');
  await cp(secrets, planeSecrets, { recursive: true });
  await mkdir(caSecrets, { mode: 0o700 });
  await rename(path.join(planeSecrets, 'ca.kek'), path.join(caSecrets, 'ca.kek'));
  await rm(path.join(planeSecrets, 'db-signer'));
  env = {
    DATABASE_URL: `postgres://postgres:${password}@localhost:${port}/touchmark?host=${host}`,
    TOUCHMARK_SIGNER: 'process',
    TOUCHMARK_SIGNER_SOCKET: path.join(first.home, 'run', 'signer.sock'),
    TOUCHMARK_CANARY_SECONDS: '0',
    TOUCHMARK_SECRETS_DIR: planeSecrets,
  };
  signer = await ProcessInstance.create(
    { ...env, TOUCHMARK_SECRETS_DIR: secrets, TOUCHMARK_CA_SECRETS_DIR: caSecrets },
    ['--planes', 'signer'],
  );
  await signer.start();
  planes = await ProcessInstance.create({ ...env, TOUCHMARK_SINGLE_OPERATOR: 'true' }, ['--planes', 'worker,est,api']);
}, 60_000);
afterAll(async () => {
  await planes?.dispose();
  await signer?.dispose();
  await first?.dispose();
});

test('planes that never see ca.kek publish and issue through a signer of its own', async () => {
  const ready = await planes.start();
  // The bootstrap token and the root are where the first start left them.
  instance = await instanceAt({ ...ready, operatorToken: path.join(first.home, 'operator.token') });
  const device = await registerTestDevice(instance);
  const reply = await simpleEnroll(instance, device, csrOf(device, newKey()));
  expect(certificateOf(reply).length).toBeGreaterThan(300);
});

test('the root is followed by another key, with the links between both, and a CA of somebody else is certified', async () => {
  const approved = async (route: string, wish: object): Promise<void> => {
    const proposal = await instance.api('POST', route, wish);
    expect({ status: proposal.status, text: proposal.text }).toMatchObject({ status: 202 });
    const { approvalId, digest } = proposal.json<{ approvalId: string; digest: string }>();
    const reply = await instance.api('POST', `/v1/approvals/${approvalId}/approve`, { digest });
    expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 200 });
  };
  const { items } = (await instance.api('GET', '/v1/issuers')).json<{ items: { id: string; kind: string }[] }>();
  const root = items.find(({ kind }) => kind === 'root')!;
  await approved(`/v1/issuers/${root.id}/rollover`, {});
  const { privateKey, publicKey } = await generateKeyPair('ec-p256');
  const subject = [[{ type: OID.commonName, value: 'Customer CA' }]];
  const csr = toPem('CERTIFICATE REQUEST', encodeCsr({ subject, publicKey }, privateKey));
  await approved(`/v1/issuers/${root.id}/cross-sign`, { csr, unconstrained: true });
  // Both roots, both links and the issuing CA; the plane hears of them within a poll of the log.
  const bag = async () => readCertsOnly(Buffer.from((await instance.est('/.well-known/est/cacerts')).text, 'base64'));
  for (let tries = 0; tries < 100 && (await bag()).length < 5; tries++) await delay(100);
  expect(await bag()).toHaveLength(5);
});

test('no plane but the signer can open a CA key then', () => {
  const config = loadConfig({ TOUCHMARK_HOME: planes.home, ...env });
  for (const plane of ['est', 'api', 'worker', 'status'] as const) {
    const holders = holdersOf(config, [plane], false);
    expect(holders).not.toContain('signer');
    const secrets = openSecrets(config, holders);
    expect(() => secrets.of('signer')).toThrow('were not opened');
    expect([...secrets.rings.keys()].filter((file) => file.endsWith('ca.kek'))).toEqual([]);
  }
  const inside = loadConfig({ TOUCHMARK_HOME: planes.home, ...env, TOUCHMARK_SIGNER: 'in-process' });
  expect(() => openSecrets(inside, holdersOf(inside, ['est'], false))).toThrow(/ca\.kek is missing/);
});

test('both end in order', async () => {
  expect(await planes.stop()).toBe(0);
  expect(await signer.stop()).toBe(0);
});
