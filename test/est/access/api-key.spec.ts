import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createRelease,
  currentLabel,
  enrollOverEst,
  issueKey,
  proposeLabelChange,
  registerDevice,
  resetDevice,
  resumeKey,
  revokeCertificate,
  revokeKey,
  rotateKey,
  suspendKey,
  type AuthorityContext,
} from '#authority';
import { mintApiKey } from '#credential';
import { loadConfig } from '#kernel';
import { readCertificate, readCertsOnly, readCsr } from '#pki';
import { profiles, shippedLabel } from '#policy';
import { findDeviceOfInstance, type Device } from '#store';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic, newKey, type DeviceKey } from '../../harness/device.js';
import { makeProduct, presents, type Product } from '../../harness/fixtures.js';
import { decidersOf, inStep, makeLabel } from '../../harness/manufacturer.js';
import { httpsRequest, type HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, optionsOf, plainCsr, type EstPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let key: string;
let keyId: string;
let label: string;
let open: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  ({ text: key, id: keyId } = await issue());
  label = await makeLabel(db, { authentication: ['apiKey'] });
  open = await makeLabel(db, { authentication: ['apiKey', 'secret'], registers: true });
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

async function issue(
  rest: { enroll?: boolean; releaseId?: string; expiresAt?: Date } = {},
): Promise<{ id: string; text: string }> {
  const facts = { audience: 'all', environment: 'live', enroll: true, releaseId: await freshRelease() } as const;
  const { row, key: text } = await issueKey(api, db.operator, { ...facts, ...rest });
  await inStep(db);
  return { id: row.id, text };
}

let versions = 0;

/** Of the same app: a release has two usable keys and no more. */
async function freshRelease(): Promise<string> {
  const version = `1.${++versions}.0`;
  return (await createRelease(api, db.operator, product.appId, { version })).id;
}

const register = async (appId = product.appId): Promise<Device> =>
  (await registerDevice(api, db.operator, { appId })).device;

const csrFor = (instanceId: string, deviceKey: DeviceKey = newKey()): Buffer =>
  plainCsr(deviceKey, { san: [{ type: 'uri', value: `urn:uuid:${instanceId}` }] });

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

const by = (token: string, instanceId: string, at = label): Promise<HttpsAnswer> =>
  plane.ask({ label: at, headers: bearer(token), csr: csrFor(instanceId) });

function namesOf(answer: HttpsAnswer): unknown {
  if (answer.status !== 200) throw new Error(`expected a certificate, got ${answer.status} ${answer.text}`);
  return readCertificate(readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!).san;
}
const sanOf = (instanceId: string) => [{ type: 'uri', value: `urn:uuid:${instanceId}` }];

/** Refused, told to the audit log, and nothing done. */
async function expectRefused(ask: () => Promise<HttpsAnswer>, status: number, text: RegExp): Promise<void> {
  const [before, last] = [await counts(db), await newestRefusal(db)];
  const answer = await ask();
  expect([answer.status, answer.headers['content-type']]).toEqual([status, 'text/plain; charset=utf-8']);
  expect(answer.text).toMatch(text);
  expect(await counts(db)).toEqual(before);
  const row = await newestRefusal(db);
  expect(row?.id).not.toBe(last?.id);
  expect(row?.detail['reason']).toMatch(text);
}

describe('an API key that may enroll', () => {
  test('enrolls a registered device of its app, as Bearer and as password of Basic, and proves no key (E50, E45)', async () => {
    const [one, two, three] = [await register(), await register(), await register()];
    expect(namesOf(await by(key, one.instanceId))).toEqual(sanOf(one.instanceId));
    const headers = { authorization: basic('', key) };
    const answer = await plane.ask({ label, headers, csr: csrFor(two.instanceId) });
    expect(namesOf(answer)).toEqual(sanOf(two.instanceId));
    const named = await plane.ask({ label, headers: { authorization: basic(three.instanceId.toUpperCase(), key) } });
    expect(namesOf(named)).toEqual(sanOf(three.instanceId));
    const [row] = await db.sql<{ actor: string; canonical: Buffer }>(
      `select actor, canonical from audit where action = 'certificate.requested' and outcome = 'success'
       order by id desc limit 1`,
    );
    expect(row?.actor).toBe(`key:${keyId}`);
    expect(row?.canonical.toString()).toContain(`"authentication":"apiKey"`);

    const forged = csrFor((await register()).instanceId);
    forged[forged.length - 1]! ^= 1;
    await expectRefused(() => plane.ask({ label, headers: bearer(key), csr: forged }), 400, /signature/);
  });

  test('gives the same certificate for the same request sent again, and to two at once', async () => {
    const instanceId = randomUUID();
    const csr = csrFor(instanceId);
    const ask = () => plane.ask({ label: open, headers: bearer(key), csr });
    const answers = [...(await Promise.all([ask(), ask(), ask()])), await ask()];
    expect(new Set(answers.map((one) => `${one.status} ${one.text}`)).size).toBe(1);
    expect(namesOf(answers[0]!)).toEqual(sanOf(instanceId));
  });

  test('registers a device where the label says so: under the app and release of the key', async () => {
    const instanceId = randomUUID();
    await expectRefused(() => by(key, instanceId), 403, /no such device of the app/);
    expect(namesOf(await by(key, instanceId, open))).toEqual(sanOf(instanceId));
    const device = await plane.est.database.transaction((tx) => findDeviceOfInstance(tx, instanceId));
    const [row] = await db.sql<{ releaseId: string }>(`select release_id as "releaseId" from keys where id = $1`, [
      keyId,
    ]);
    expect(device).toMatchObject({ appId: product.appId, releaseId: row!.releaseId, status: 'enrolled' });
    expect(device?.ownerOrgId).toBe(product.vendorId);
  });

  test('passes its right on when it is rotated', async () => {
    const { id } = await issue();
    const { row, key: text } = await rotateKey(api, db.operator, id, { overlapSeconds: 3600 });
    await inStep(db);
    expect(row.enroll).toBe(true);
    const device = await register();
    expect(namesOf(await by(text, device.instanceId))).toEqual(sanOf(device.instanceId));
  });

  test('is a live key', async () => {
    const releaseId = await freshRelease();
    await expect(
      issueKey(api, db.operator, { releaseId, audience: 'all', environment: 'test', enroll: true }),
    ).rejects.toMatchObject({ kind: 'invalid', member: 'enroll' });
  });
});

describe('nobody is taken over', () => {
  test('who has a good certificate keeps it, also after a reset', async () => {
    const device = await register();
    const answer = await by(key, device.instanceId);
    const { serial } = readCertificate(readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!);
    await expectRefused(() => by(key, device.instanceId), 403, /has enrolled already/);
    await resetDevice(api, db.operator, device.id);
    await expectRefused(() => by(key, device.instanceId), 403, /has enrolled already/);
    await revokeCertificate(api, db.operator, serial, { reason: 'superseded' });
    await inStep(db);
    expect(namesOf(await by(key, device.instanceId))).toEqual(sanOf(device.instanceId));
  });

  test('a device of another app, or of none, answers the same', async () => {
    const other = await makeProduct(api, db.operator);
    const foreign = await register(other.appId);
    const [taken, absent] = [await by(key, foreign.instanceId), await by(key, randomUUID())];
    expect([taken.status, taken.text]).toEqual([absent.status, absent.text]);
    expect(taken.status).toBe(403);
    const before = await counts(db);
    const claimed = await by(key, foreign.instanceId, open);
    expect([claimed.status, claimed.text]).toEqual([403, taken.text]);
    expect(await counts(db)).toEqual(before);
  });

  test('the user name and the request name one device', async () => {
    const [one, two] = [await register(), await register()];
    const headers = { authorization: basic(one.id, key) };
    await expectRefused(() => plane.ask({ label, headers, csr: csrFor(two.instanceId) }), 403, /no such device/);
    await expectRefused(() => plane.ask({ label, headers: bearer(key) }), 400, /must name its device/);
    const nobody = { authorization: basic('somebody', key) };
    await expectRefused(() => plane.ask({ label, headers: nobody }), 400, /user name/);
  });

  test('no label lets a key make a registration authority, or register without keys', async () => {
    const { admin } = await decidersOf(db);
    const { name: _name, version: _version, ...shipped } = shippedLabel(profiles(loadConfig({}).lifetimes).ra);
    const wish = { ...shipped, authentication: ['apiKey' as const] };
    await expect(proposeLabelChange(api, admin, 'gate', wish)).rejects.toMatchObject({ member: 'authentication' });
    await expect(proposeLabelChange(api, admin, 'gate', { ...shipped, registers: true })).rejects.toMatchObject({
      member: 'registers',
    });
  });
});

describe('a key stops at once', () => {
  test('suspended, revoked, retired, expired: one text with an unknown one (TX10, EX12)', async () => {
    const device = await register();
    const ask = (token: string) => by(token, device.instanceId);
    await expectRefused(() => ask(mintApiKey('live').text), 401, /^the API key is wrong or no longer valid/);
    const wrong = /^the API key is wrong or no longer valid\n$/;

    const paused = await issue();
    await suspendKey(api, db.operator, paused.id);
    await inStep(db);
    await expectRefused(() => ask(paused.text), 401, /wrong or no longer valid/);
    await resumeKey(api, db.operator, paused.id);
    await inStep(db);
    const revoked = await issue();
    await revokeKey(api, db.operator, revoked.id, { reason: 'keyCompromise' });
    const rotated = await issue();
    await rotateKey(api, db.operator, rotated.id, { overlapSeconds: 0 });
    await inStep(db);
    for (const one of [revoked, rotated]) {
      const answer = await ask(one.text);
      expect([answer.status, answer.headers['www-authenticate']]).toEqual([
        401,
        'Basic realm="Touchmark EST", charset="UTF-8", Bearer realm="Touchmark EST"',
      ]);
      expect(answer.text).toMatch(wrong);
    }
    expect(namesOf(await ask(paused.text))).toEqual(sanOf(device.instanceId));
  });

  test('where memory does not know yet and the database does', async () => {
    const { id, text } = await issue();
    const device = await register();
    const follower = await db.follower({ plane: 'est', tokens: false, pollMs: 3_600_000 });
    await follower.start();
    // It hears of nothing from here on.
    await follower.stop();
    await revokeKey(api, db.operator, id, { reason: 'unspecified' });
    expect(follower.index.key(id)?.status).toBe('active');
    await expect(
      enrollOverEst(
        { ...plane.est, follower },
        {
          operation: 'simpleenroll',
          label: currentLabel(plane.est, label)!,
          csr: readCsr(csrFor(device.instanceId)),
          presented: presents({ bearer: text }),
          address: '192.0.2.1',
          requestId: 'test',
        },
      ),
    ).rejects.toMatchObject({ kind: 'unauthenticated' });
  });

  test('that SQL gave the right has none: the plane does not believe it', async () => {
    const { id, text } = await issue({ enroll: false });
    const device = await register();
    await expectRefused(() => by(text, device.instanceId), 403, /may not enroll/);
    await db.tamper(`update keys set enroll = true where id = $1`, [id]);
    const follower = await db.follower({ plane: 'est', tokens: false });
    await follower.start();
    expect(follower.index.key(id)).toBeUndefined();
    expect(follower.index.key(keyId)).toMatchObject({ enroll: true });
  });
});

describe('what is sent', () => {
  test('a key without the right is 403 where the label takes secrets too (TX11)', async () => {
    const { text } = await issue({ enroll: false });
    const device = await register();
    const headers = { authorization: basic('', text) };
    const ask = () => plane.ask({ label: open, headers, csr: csrFor(device.instanceId) });
    await expectRefused(ask, 403, /may not enroll/);
  });

  test('no credentials, or a Bearer that cannot be read (EX11, EX13)', async () => {
    await expectRefused(() => plane.ask({ label }), 401, /send an API key/);
    for (const authorization of ['Bearer', 'Bearer a b', 'Bearer ä', 'Bearer =', `Bearer ${'a'.repeat(5000)}`]) {
      const answer = await plane.ask({ label, headers: { authorization } });
      expect([authorization.slice(0, 12), answer.status]).toEqual([authorization.slice(0, 12), 400]);
    }
    expect((await by(key, randomUUID(), 'device')).status).toBe(401);
  });

  test('an error is sent whatever the request accepts (TX12), and no certificate has to come along (E12)', async () => {
    const before = await counts(db);
    for (const accept of ['application/pkcs7-mime', 'image/png', '*/*;q=0']) {
      const answer = await plane.ask({ label, headers: { ...bearer(mintApiKey('live').text), accept } });
      expect([answer.status, answer.headers['content-type']]).toEqual([401, 'text/plain; charset=utf-8']);
      expect(answer.text).toMatch(/^the API key is wrong/);
    }
    expect(await counts(db)).toEqual(before);
    // What is asked is whether this is answered without a key; who answers is checked where whole instances run.
    const cacerts = await httpsRequest(plane.base, '/.well-known/est/cacerts', { rejectUnauthorized: false });
    expect(cacerts.status).toBe(200);
  });

  test('EST is there over TLS alone, and sends nobody elsewhere (E01, E14)', async () => {
    const device = await register();
    const { headers, body } = optionsOf({ headers: bearer(key), csr: csrFor(device.instanceId) });
    const before = await counts(db);
    const plain = fetch(`${plane.base.replace('https:', 'http:')}/.well-known/est/${label}/simpleenroll`, {
      method: 'POST',
      headers: headers as Record<string, string>,
      body: String(body),
    });
    expect(await plain.then((answer) => answer.headers.get('content-type')).catch(() => 'no answer')).not.toContain(
      'pkcs7',
    );
    expect(await counts(db)).toEqual(before);
    for (const path of ['/.well-known/est', '/.well-known/est/', `/.well-known/est/${label}/simpleenroll/`]) {
      const answer = await httpsRequest(plane.base, path, optionsOf({ headers: bearer(key) }));
      expect([path, answer.status, answer.headers.location]).toEqual([path, 404, undefined]);
    }
  });

  test('a key in the query string is refused and flagged to its owner (TX09)', async () => {
    const device = await register();
    const flagged = () =>
      db.sql<{ subject: string; owner: string }>(
        `select subject, owner_org_id as owner from audit where action = 'key.exposed' order by id`,
      );
    const options = optionsOf({ headers: bearer(key), csr: csrFor(device.instanceId) });
    const path = `/.well-known/est/${label}/simpleenroll?key=`;
    const answer = await httpsRequest(plane.base, path + key, options);
    expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(/^a credential stands in the query/)]);
    expect(answer.text).not.toContain(key.slice(24));
    expect(await flagged()).toEqual([{ subject: `key:${keyId}`, owner: product.vendorId }]);
    expect((await newestRefusal(db))?.detail['code']).toBe('credentialInQuery');
    const encoded = await httpsRequest(plane.base, path + key.replaceAll('_', '%5F'), options);
    expect([encoded.status, (await flagged()).length]).toEqual([400, 2]);
    // Nobody flags a key that he does not know.
    const other = (await issue()).text;
    const half = `${key.slice(0, 25)}${other.slice(25)}`;
    expect([(await httpsRequest(plane.base, path + half, options)).status, (await flagged()).length]).toEqual([400, 2]);
    expect((await counts(db)).certificates).toBeGreaterThan(0);
  });
});
