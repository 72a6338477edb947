import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  addFingerprint,
  registerDevice,
  removeFingerprint,
  resetDevice,
  revokeCertificate,
  type AuthorityContext,
} from '#authority';
import { readCertificate, readCertsOnly } from '#pki';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { newKey } from '../../harness/device.js';
import { makeEnrolled, makeProduct, type Product } from '../../harness/fixtures.js';
import { inStep, makeLabel, selfSignedIdentity, type ClientIdentity } from '../../harness/manufacturer.js';
import type { HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, plainCsr, type EstPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let label: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  label = await makeLabel(db, { authentication: ['fingerprint', 'certificate'] });
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const certificateOf = (answer: HttpsAnswer) => {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertificate(readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!);
};
const register = async (identity: Pick<ClientIdentity, 'der'>) =>
  (await registerDevice(api, db.operator, { appId: product.appId, certificateFingerprint: sha256(identity.der) }))
    .device;

async function expectRefused(identity: ClientIdentity, text: RegExp): Promise<void> {
  const [before, had] = [await newestRefusal(db), await counts(db)];
  const answer = await plane.ask({ label, identity });
  expect([answer.status, answer.text]).toEqual([403, expect.stringMatching(text)]);
  const after = await newestRefusal(db);
  expect(after?.id).toBeGreaterThan(before?.id ?? 0);
  expect(after?.detail['certificateSha256']).toBe(sha256(identity.der));
  expect(await counts(db)).toEqual(had);
}

describe('a certificate whose fingerprint is registered', () => {
  test('gives the first certificate, self-signed as it is, and only that one', async () => {
    const identity = await selfSignedIdentity();
    const device = await register(identity);
    const key = newKey();
    const first = certificateOf(await plane.ask({ label, identity, key, csr: plainCsr(key) }));
    expect(first.san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    const again = certificateOf(await plane.ask({ label, identity, key, csr: plainCsr(key) }));
    expect(again.serial).toBe(first.serial);
    await expectRefused(identity, /enrolled already/);
    await resetDevice(api, db.operator, device.id);
    expect(certificateOf(await plane.ask({ label, identity })).serial).not.toBe(first.serial);
  });

  test('may be registered by its key: whatever certificate that has', async () => {
    const identity = await selfSignedIdentity();
    const { spki } = readCertificate(identity.der).publicKey;
    await registerDevice(api, db.operator, { appId: product.appId, keyFingerprint: sha256(spki) });
    const renewed = await selfSignedIdentity({ commonName: 'another name' }, identity.keys);
    certificateOf(await plane.ask({ label, identity: renewed }));
  });

  test('may be added later, counts for one device, and no more once it is removed', async () => {
    const identity = await selfSignedIdentity();
    const { device } = await registerDevice(api, db.operator, { appId: product.appId });
    await expectRefused(identity, /none that this label takes/);
    const value = sha256(identity.der);
    const { id } = await addFingerprint(api, db.operator, device.id, { kind: 'certificate', value });
    await expect(register(identity)).rejects.toMatchObject({ code: 'identityTaken', member: 'certificateFingerprint' });
    const [kept] = await db.sql<Record<string, unknown>>(`select * from device_identities where id = $1`, [id]);
    await removeFingerprint(api, db.operator, device.id, id);
    await expectRefused(identity, /none that this label takes/);
    // Put back by SQL it is none either: the log says so.
    await inStep(db);
    const columns = Object.keys(kept!);
    await db.tamper(
      `insert into device_identities (${columns.join(', ')}) values (${columns.map((_, n) => `$${n + 1}`).join(', ')})`,
      Object.values(kept!),
    );
    await expectRefused(identity, /none that this label takes/);
    await db.tamper(`delete from device_identities where id = $1`, [id]);
    certificateOf(await plane.ask({ label, identity: (await register(identity), identity) }));
  });
});

describe('it is refused', () => {
  test('where it has expired, or is not valid yet (EX15)', async () => {
    const past = await selfSignedIdentity({ notAfter: new Date(Date.now() - 1000) });
    await register(past);
    await expectRefused(past, /has expired/);
    const future = await selfSignedIdentity({ notBefore: new Date(Date.now() + 60_000) });
    await register(future);
    await expectRefused(future, /not yet valid/);
  });

  test('where its key was compromised', async () => {
    const { key, certificate } = await makeEnrolled(db, product);
    const { serial, publicKey } = readCertificate(certificate);
    await revokeCertificate(api, db.operator, serial, { reason: 'keyCompromise' });
    const { device } = await registerDevice(api, db.operator, {
      appId: product.appId,
      keyFingerprint: sha256(publicKey.spki),
    });
    expect(device.id).toBeDefined();
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    const pkcs8 = key.privateKey.export({ type: 'pkcs8', format: 'der' });
    const keys = {
      privateKey: await crypto.subtle.importKey('pkcs8', pkcs8, algorithm, true, ['sign']),
      publicKey: await crypto.subtle.importKey('spki', key.spki, algorithm, true, ['verify']),
    };
    await expectRefused(await selfSignedIdentity({}, keys), /this key may not be certified/);
  });

  test('where SQL planted it', async () => {
    const identity = await selfSignedIdentity();
    const { device } = await registerDevice(api, db.operator, { appId: product.appId });
    await db.tamper(
      `insert into device_identities (id, device_id, kind, value, mac, owner_org_id, issuer_org_id)
       select gen_random_uuid(), id, 'certificate', $2, '\\x00', owner_org_id, issuer_org_id from devices where id = $1`,
      [device.id, sha256(identity.der)],
    );
    expect((await plane.ask({ label, identity })).status).toBe(500);
  });
});
