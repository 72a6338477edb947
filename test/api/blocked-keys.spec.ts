import 'reflect-metadata';
import { randomBytes, randomUUID } from 'node:crypto';
import { SubjectAlternativeNameExtension, X509CertificateGenerator, cryptoProvider } from '@peculiar/x509';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { approve, enrollOverEst, revokeCertificate, scanKeys, type AuthorityContext } from '#authority';
import { addSeconds, type Clock } from '#kernel';
import { encodeCsr, readCertificate, readPublicKey, toPem } from '#pki';
import { keyImportRowMac } from '#status';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey, type DeviceKey } from '../harness/device.js';
import {
  enroll,
  enrollRequest,
  makeDevice,
  makeEnrolled,
  makeProduct,
  renewRequest,
  type Product,
} from '../harness/fixtures.js';
import { makePerson, makeToken, type Person } from '../harness/people.js';
import { plantIntent } from '../store/rows.js';
import { planeOf, type ApiPlane } from './plane.js';

const DAY = 86_400;
let shift = 0;
const clock: Clock = { now: () => addSeconds(new Date(), shift), monotonicMs: () => performance.now() };

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let plane: ApiPlane;
let admin: string;
let approver: Person;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase({ clock });
  [api, est, worker] = [await db.context('api'), await db.context('est'), await db.context('worker')];
  plane = await planeOf(api);
  admin = await makeToken(db, await makePerson(db, ['admin']), ['admin']);
  approver = await makePerson(db, ['approver']);
  product = await makeProduct(api, db.operator);
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});
beforeEach(() => {
  shift = 0;
});

interface Imported {
  importId: string;
  added: number;
  known: number;
  affected: number;
  proposed: { approvalId: string; digest: string } | null;
}

const hashOf = (key: DeviceKey): string => readPublicKey(key.spki).sha256.toString('hex');
const post = (keys: readonly string[], more: object = {}, headers: Record<string, string> = {}) =>
  plane.post('/v1/blocked-keys', { keys, reason: 'published', ...more }, admin, headers);
async function imported(keys: readonly string[], more: object = {}): Promise<Imported> {
  const answer = await post(keys, more);
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 201 });
  return answer.json<Imported>();
}
const serialOf = (der: Buffer): string => readCertificate(der).serial;
const statusOf = (der: Buffer) => api.follower.index.certificate(serialOf(der));
const audits = (action: string, subject: string) =>
  db.sql<{ detail: Record<string, unknown> }>(
    `select convert_from(canonical, 'UTF8')::jsonb -> 'detail' as detail from audit where action = $1 and subject = $2 order by id`,
    [action, subject],
  );
const blocked = expect.objectContaining({ kind: 'forbidden', code: 'keyBlocked' });

describe('a key that an operator blocks', () => {
  test('is certified for nobody any more, at first enrollment and renewal, and the list says why, whence and by whom', async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    const next = newKey();
    const result = await imported([hashOf(key), hashOf(next), hashOf(next).toUpperCase()]);
    expect(result).toMatchObject({ added: 2, known: 0, affected: 1, proposed: null });
    await expect(enrollOverEst(est, enrollRequest(await makeDevice(db, product), next))).rejects.toEqual(blocked);
    await expect(enrollOverEst(est, renewRequest(device, certificate, next))).rejects.toEqual(blocked);
    await expect(enrollOverEst(est, renewRequest(device, certificate, key))).rejects.toEqual(blocked);
    await enrollOverEst(est, renewRequest(device, certificate, newKey()));
    const { items } = (await plane.get(`/v1/blocked-keys?importId=${result.importId}`, admin)).json<{
      items: unknown[];
    }>();
    expect(items).toHaveLength(2);
    expect(items[0]).toMatchObject({ source: 'imported', reason: 'published', importId: result.importId });
    expect((items[0] as { actor: string }).actor).toMatch(/^person:/);
    expect(await audits('blockedKeys.imported', `blockedKeys:${result.importId}`)).toMatchObject([
      { detail: { added: 2, known: 0, affected: 1, reason: 'published' } },
    ]);
  });

  test('is recorded for nothing, by whatever way: our own CA keys for CAs alone', async () => {
    const key = randomBytes(32);
    await imported([key.toString('hex')]);
    const { publicKey } = await api.issuers.issuing();
    const recorded = async (rest: Parameters<typeof plantIntent>[1]): Promise<number> => {
      const { serial } = await plantIntent(db, rest);
      return (await db.sql(`select 1 from serials where serial = $1`, [serial])).length;
    };
    for (const profile of ['device', 'tls-server', 'issuing-ca']) {
      expect(await recorded({ spkiSha256: key, profile })).toBe(0);
      expect(await recorded({ spkiSha256: publicKey.sha256, profile })).toBe(profile === 'issuing-ca' ? 1 : 0);
      expect(await recorded({ profile })).toBe(1);
    }
    await db.tamper(`delete from certificates where requester = 'system:test'`);
    await db.tamper(`delete from serials s where not exists (select 1 from certificates c where c.serial = s.serial)`);
  });

  test('of a CA is refused although it was taken out of the list', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const { publicKey } = await api.issuers.issuing();
    await db.tamper(`delete from blocked_keys where source = 'ca'`);
    const csr = { ...renewRequest(device, certificate, newKey()).csr, publicKey };
    await expect(enroll(est, renewRequest(device, certificate, newKey(), { csr }))).rejects.toEqual(blocked);
    await scanKeys(worker);
  });

  test('is named by digest, public key, certificate or request, and known when it is blocked already', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const [first, second] = [newKey(), newKey()];
    const csr = encodeCsr({ subject: [], publicKey: readPublicKey(second.spki) }, second.privateKey);
    const forms = [
      toPem('CERTIFICATE', certificate),
      toPem('PUBLIC KEY', first.spki),
      toPem('CERTIFICATE REQUEST', csr),
    ];
    expect(await imported(forms)).toMatchObject({ added: 3, known: 0, affected: 1 });
    expect(await imported([hashOf(first), hashOf(second)])).toMatchObject({ added: 0, known: 2, affected: 0 });
  });

  test('is imported once, however often the same request comes', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const list = [hashOf(newKey())];
    const first = await post(list, {}, key);
    const again = await post(list, {}, key);
    expect([again.status, again.text]).toEqual([201, first.text]);
  });

  test('stands in a list of pages, newest first, by its source', async () => {
    const keys = Array.from({ length: 5 }, () => randomBytes(32).toString('hex'));
    const { importId } = await imported(keys);
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const next: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const page = (await plane.get(`/v1/blocked-keys?limit=2&importId=${importId}${next}`, admin)).json<{
        items: { spkiSha256: string }[];
        nextCursor: string | null;
      }>();
      seen.push(...page.items.map(({ spkiSha256 }) => spkiSha256));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(keys.toSorted().toReversed());
    const cas = (await plane.get('/v1/blocked-keys?source=ca', admin)).json<{ items: { reason: string }[] }>();
    expect(cas.items.map(({ reason }) => reason)).toEqual(['CA key', 'CA key']);
    expect((await plane.get('/v1/blocked-keys?cursor=x', admin)).status).toBe(400);
  });
});

describe('a list that is no good blocks nothing', () => {
  const good = randomBytes(32).toString('hex');
  test.each([
    ['an entry that is no key', [good, 'hello'], 400, 'keys.1'],
    ['a short digest', ['ab'.repeat(31)], 400, 'keys.0'],
    ['no entry', [], 400, 'keys'],
    ['too many entries', Array.from({ length: 501 }, () => good), 400, 'keys'],
  ])('%s', async (_, keys, status, member) => {
    const answer = await post(keys);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(member);
    expect(await db.sql(`select 1 from blocked_keys where spki_sha256 = decode($1, 'hex')`, [good])).toEqual([]);
  });

  test('a private key: refused, and neither answered nor kept anywhere', async () => {
    const key = newKey();
    const base64 = key.pem.split('\n')[1] as string;
    const answer = await post([good, key.pem]);
    expect(answer.status).toBe(422);
    expect(answer.json()).toMatchObject({ type: 'urn:touchmark:problem:privateKey' });
    expect(answer.text).not.toContain(base64.slice(0, 20));
    const dump = await db.dump();
    expect(dump).not.toContain(base64.slice(0, 20));
    expect(dump).not.toContain(Buffer.from(base64, 'base64').toString('hex').slice(0, 24));
    expect(await db.sql(`select 1 from blocked_keys where spki_sha256 = decode($1, 'hex')`, [good])).toEqual([]);
  });

  test('without a reason', async () => {
    expect((await plane.post('/v1/blocked-keys', { keys: [good] }, admin)).status).toBe(400);
  });
});

describe('what carries a blocked key', () => {
  const approveIt = ({ approvalId, digest }: { approvalId: string; digest: string }) =>
    approve(api, approver, approvalId, { digest });

  test('is revoked as compromised by two people, counted first, with what was obtained by it', async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    const heir = await enroll(est, renewRequest(device, certificate, newKey()));
    // As it stands where the key could not sign: proved by the first certificate, which goes on.
    await db.tamper(
      `update certificates set requester = replace(requester, 'certificate:', 'possession:') where serial = $1`,
      [Buffer.from(serialOf(heir), 'hex')],
    );
    const other = await makeEnrolled(db, product);
    const { importId, proposed, affected } = await imported([hashOf(key)], { revoke: true });
    expect(affected).toBe(1);
    expect(statusOf(certificate)).toBeUndefined();
    const { result } = await approveIt(proposed!);
    expect(result).toEqual({ importId, certificates: 2 });
    for (const der of [certificate, heir])
      expect(statusOf(der)).toMatchObject({ status: 'revoked', reason: 'keyCompromise' });
    expect(statusOf(other.certificate)).toBeUndefined();
    expect(await audits('blockedKeys.revoked', `blockedKeys:${importId}`)).toMatchObject([
      { detail: { certificates: 2 } },
    ]);
    expect(await audits('certificate.revoked', `certificate:${serialOf(certificate)}`)).toMatchObject([
      { detail: { reason: 'keyCompromise', importId } },
    ]);
  });

  test('is proposed later too, and never where nothing carries it', async () => {
    const { certificate, key } = await makeEnrolled(db, product);
    const { importId } = await imported([hashOf(key)]);
    const answer = await plane.post(`/v1/blocked-keys/imports/${importId}/revoke`, {}, admin);
    expect(answer.status).toBe(202);
    await approveIt(answer.json<{ approvalId: string; digest: string }>());
    expect(statusOf(certificate)).toMatchObject({ status: 'revoked' });
    expect((await plane.post(`/v1/blocked-keys/imports/${importId}/revoke`, {}, admin)).status).toBe(409);
    expect((await plane.post(`/v1/blocked-keys/imports/${randomUUID()}/revoke`, {}, admin)).status).toBe(404);
    expect((await imported([randomBytes(32).toString('hex')], { revoke: true })).proposed).toBeNull();
  });

  test('is never a CA, whose key everybody knows as blocked', async () => {
    const { publicKey, serial } = await api.issuers.issuing();
    const result = await imported([publicKey.sha256.toString('hex')], { revoke: true });
    expect(result).toMatchObject({ added: 0, known: 1, affected: 0, proposed: null });
    expect(api.follower.index.certificate(serial)).toBeUndefined();
  });

  test('is not revoked where more carry it than were counted, nor by an import that was planted', async () => {
    const [one, more] = [await makeEnrolled(db, product), await makeEnrolled(db, product)];
    const { importId, proposed } = await imported([hashOf(one.key)], { revoke: true });
    const plant = (id: string) =>
      db.tamper(
        `insert into blocked_keys (spki_sha256, reason, source, import_id) values (decode($1, 'hex'), 'x', 'imported', $2)`,
        [hashOf(more.key), id],
      );
    await plant(importId);
    await expect(approveIt(proposed!)).rejects.toMatchObject({ kind: 'conflict', code: 'tooMany' });
    await db.tamper(`delete from blocked_keys where spki_sha256 = decode($1, 'hex')`, [hashOf(more.key)]);
    const planted = randomUUID();
    await plant(planted);
    await db.tamper(
      `insert into blocked_key_imports values ($1, 'x', 'x', 1, sha256(decode($2, 'hex')), '\\x00', now())`,
      [planted, hashOf(more.key)],
    );
    const answer = await plane.post(`/v1/blocked-keys/imports/${planted}/revoke`, {}, admin);
    expect(answer.status).toBe(500);
    for (const { certificate } of [one, more]) expect(statusOf(certificate)).toBeUndefined();
    await db.tamper(`delete from blocked_key_imports where id = $1`, [planted]);
    await db.tamper(`delete from blocked_keys where import_id = $1`, [planted]);
  });
});

describe('the search for certificates with bad keys', () => {
  const findings = async () =>
    (await plane.get('/v1/blocked-keys/certificates', admin)).json<{ items: { serial: string; problem: string }[] }>()
      .items;
  const state = async () => (await db.sql<{ altered: number }>(`select altered from key_scan`))[0]!;
  const scan = () => scanKeys(worker);

  test('follows an import, tells of each certificate once, and forgets it when it is revoked', async () => {
    await scan();
    const { certificate, key } = await makeEnrolled(db, product);
    const subject = `certificate:${serialOf(certificate)}`;
    expect(await scan()).toBeUndefined();
    await imported([hashOf(key)]);
    expect(await scan()).toMatchObject({ found: 1 });
    expect(await findings()).toContainEqual(
      expect.objectContaining({ serial: serialOf(certificate), problem: 'blocked' }),
    );
    expect(await audits('certificate.badKey', subject)).toMatchObject([
      { detail: { problem: 'blocked', why: 'published' } },
    ]);
    shift = DAY + 1;
    expect(await scan()).toMatchObject({ found: 0 });
    expect(await audits('certificate.badKey', subject)).toHaveLength(1);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    shift = 2 * (DAY + 1);
    await scan();
    expect((await findings()).map(({ serial }) => serial)).not.toContain(serialOf(certificate));
  });

  test('holds every certificate against rules that are new, and says what is weak', async () => {
    const { certificate } = await makeEnrolled(db, product);
    cryptoProvider.set(globalThis.crypto);
    const algorithm = {
      ...{ name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 1024 },
      publicExponent: new Uint8Array([1, 0, 1]),
    };
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const weak = await X509CertificateGenerator.createSelfSigned({
      extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: 'weak.example' }])],
      name: 'CN=weak',
      signingAlgorithm: algorithm,
      keys,
    });
    await db.tamper(`update certificates set der = $1 where serial = decode($2, 'hex')`, [
      Buffer.from(weak.rawData),
      serialOf(certificate),
    ]);
    await db.tamper(`update key_scan set rules = 0`);
    expect(await scan()).toMatchObject({ found: 1 });
    expect(await audits('certificate.badKey', `certificate:${serialOf(certificate)}`)).toMatchObject([
      { detail: { problem: 'weak', why: expect.stringContaining('1024 bits') as unknown } },
    ]);
  });

  test('puts back what was taken out by SQL: CA keys, and keys revoked as compromised', async () => {
    const { certificate, key } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
    await db.tamper(`delete from blocked_keys where source = 'ca' or spki_sha256 = decode($1, 'hex')`, [hashOf(key)]);
    shift = 4 * (DAY + 1);
    expect(await scan()).toMatchObject({ restored: 3 });
    shift = 0;
    await expect(enrollOverEst(est, enrollRequest(await makeDevice(db, product), key))).rejects.toEqual(blocked);
  });

  test('sees an imported list that is not what it was, and tells it once', async () => {
    const key = randomBytes(32).toString('hex');
    await imported([key, randomBytes(32).toString('hex')]);
    shift = 6 * (DAY + 1);
    expect(await scan()).toMatchObject({ altered: 0 });
    const before = (await audits('blockedKeys.altered', 'blockedKeys:all')).length;
    await db.tamper(`delete from blocked_keys where spki_sha256 = decode($1, 'hex')`, [key]);
    shift = 8 * (DAY + 1);
    expect(await scan()).toMatchObject({ altered: 1 });
    shift = 10 * (DAY + 1);
    expect(await scan()).toMatchObject({ altered: 1 });
    expect(await audits('blockedKeys.altered', 'blockedKeys:all')).toHaveLength(before + 1);
    expect(await state()).toEqual({ altered: 1 });
  });

  test('knows a row of an import by its MAC', async () => {
    const { importId } = await imported([randomBytes(32).toString('hex')]);
    const [row] = await db.sql<Parameters<typeof keyImportRowMac>[1] & { mac: Buffer }>(
      `select id, reason, actor, added, digest, created_at as "createdAt", mac from blocked_key_imports where id = $1`,
      [importId],
    );
    expect(keyImportRowMac(db.macKey, row!)).toEqual(row!.mac);
    expect(keyImportRowMac(db.macKey, { ...row!, added: 0 })).not.toEqual(row!.mac);
  });
});
