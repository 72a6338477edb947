import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { importCrl, issuerRequest, proposeIssuer, proposeIssuerImport, proposeIssuerRevocation } from '#authority';
import { OfflineRoot } from '#apps/touchmark';
import { systemClock } from '#kernel';
import { fromPem, readCertificate, readCrl, readCsr, validatePath } from '#pki';
import { crlName, publishImportedCrl, type Publisher } from '#publication';
import { findArtifact, insertImportedCrl } from '#store';
import { silent, STATUS_URL } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, makeEnrolled, renewRequest } from '../harness/fixtures.js';
import { Hierarchy } from '../harness/hierarchy.js';

const PASSPHRASE = 'correct horse battery';
const commonName = (value: string) => [[{ type: '2.5.4.3', value }]];

let h: Hierarchy;
let directory: string;
let root: OfflineRoot;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'touchmark-root-'));
  const plan = { subject: commonName('Offline Root'), keyType: 'ec-p256' as const, years: 20 };
  root = await OfflineRoot.init(path.join(directory, 'root'), plan, PASSPHRASE, systemClock);
  h = await Hierarchy.start();
});
afterAll(async () => {
  await h.db.stop();
  await rm(directory, { recursive: true, force: true });
});

const base64 = (der: Buffer): string => der.toString('base64');
const sign = (csr: Buffer, rest: Partial<Parameters<OfflineRoot['sign']>[1]> = {}): Promise<Buffer> =>
  root.sign(csr, { statusUrl: STATUS_URL, years: 10, pathLen: 0, ...rest });
const requested = async (name: string, wish: object = {}): Promise<{ id: string; csr: Buffer }> => {
  const { issuerId } = await h.decided(proposeIssuer(h.api, h.admin, { name, external: true, ...wish }));
  return { id: issuerId, csr: await issuerRequest(h.api, h.admin, issuerId) };
};
const importing = (id: string, certificate: Buffer, crl: Buffer, chain = [root.certificate.der]) =>
  proposeIssuerImport(h.api, h.admin, id, {
    certificate: base64(certificate),
    chain: chain.map(base64),
    crls: [base64(crl)],
  });
const publisher = async (): Promise<Publisher> =>
  ({ database: await h.db.as('worker'), clock: h.db.clock, log: silent }) as unknown as Publisher;
const published = async () => {
  const worker = await h.db.as('worker');
  return worker.transaction((tx) => findArtifact(tx, crlName(root.id, 'full')));
};

describe('a root that is kept offline', () => {
  let id: string;
  let certificate: Buffer;

  test('certifies a request of ours, comes in by two people, and carries devices', async () => {
    const asked = await requested('Under offline');
    id = asked.id;
    expect(await h.est.issuers.find(id)).toBeUndefined();
    const { publicKey, subject } = readCsr(asked.csr);
    expect(subject.flat().at(-1)?.value).toBe('Under offline');
    certificate = await sign(asked.csr);
    await h.decided(importing(id, certificate, await root.crl(365)));
    const issuer = await h.find(id);
    expect(issuer).toMatchObject({ kind: 'issuing', status: 'retired', above: [{ id: root.id }] });
    expect(issuer.publicKey.spki.equals(publicKey.spki)).toBe(true);
    expect(await h.find(root.id)).toMatchObject({ kind: 'root', caKeyId: null, terms: { external: true } });
    // Where it says that its CRL is, it will be.
    expect(readCertificate(certificate).crlUris).toEqual([`${STATUS_URL}/${crlName(root.id, 'full')}`]);
    await h.activate(id);
    const { certificate: leaf, device } = await makeEnrolled(h.db);
    const bag = (await h.est.issuers.cacerts(h.db.clock.now())).map(readCertificate);
    const { subjectDer, publicKey: key } = root.certificate;
    const anchors = [{ subjectDer, publicKey: key, set: 'offline' }];
    const at = h.db.clock.now();
    expect(validatePath({ leaf: readCertificate(leaf), intermediates: bag, anchors, at })).toMatchObject({ ok: true });
    expect(await enroll(h.est, renewRequest(device, leaf, newKey()))).toBeInstanceOf(Buffer);
    const audits = await h.db.sql<{ action: string }>('select action from audit where subject = $1 order by id', [
      `issuer:${id}`,
    ]);
    expect(audits.map(({ action }) => action)).toEqual([
      'ca.requested',
      'ca.imported',
      'ocspDelegate.created',
      'ca.activated',
    ]);
  });

  test('has its CRL published, the newest that it signed; a planted one is not', async () => {
    const p = await publisher();
    const issuer = await h.find(root.id);
    expect(await publishImportedCrl(p, issuer)).toBe(1);
    expect(await publishImportedCrl(p, issuer)).toBe(0);
    const first = (await published())!;
    expect(readCrl(first.bytes).number).toBe(BigInt(first.number));
    // By who can write: bytes of another root under a number above.
    const other = await OfflineRoot.init(
      path.join(directory, 'other'),
      { subject: commonName('Offline Root'), keyType: 'ec-p256', years: 1 },
      PASSPHRASE,
      systemClock,
    );
    const evil = await other.crl(365);
    const owner = await h.db.as('owner');
    await owner.transaction((tx) => insertImportedCrl(tx, root.id, 1000n, evil));
    expect(await publishImportedCrl(p, issuer)).toBe(0);
    expect((await published())!.sha256.equals(first.sha256)).toBe(true);
    await expect(importCrl(h.api, h.admin, root.id, evil)).rejects.toMatchObject({ kind: 'invalid', member: 'crl' });

    const next = await root.crl(365);
    expect(await importCrl(h.api, h.admin, root.id, next)).toMatchObject({ revoked: [] });
    expect(await importCrl(h.api, h.admin, root.id, next)).toMatchObject({ revoked: [] });
    await expect(importCrl(h.api, h.admin, root.id, first.bytes)).rejects.toMatchObject({ kind: 'conflict' });
    expect(await publishImportedCrl(p, issuer)).toBe(1);
    expect((await published())!.bytes.equals(next)).toBe(true);
  });

  test('never signs here: neither CA nor CRL nor key', async () => {
    const refused = proposeIssuer(h.api, h.admin, { name: 'Under external', parentId: root.id });
    await expect(refused).rejects.toMatchObject({ kind: 'conflict', code: 'externalKey' });
    const own = await h.est.issuers.issuing();
    await expect(importCrl(h.api, h.admin, own.id, await root.crl(1))).rejects.toMatchObject({ kind: 'conflict' });
    await expect(proposeIssuerRevocation(h.api, h.admin, id, 'cACompromise')).rejects.toMatchObject({
      code: 'externalKey',
    });
  });

  test('takes a CA back by its CRL: it issues nothing more, and its devices renew no more', async () => {
    const { device, certificate: leaf } = await makeEnrolled(h.db);
    await root.revoke(readCertificate(certificate).serial, 'cACompromise');
    const answer = await importCrl(h.api, h.admin, root.id, await root.crl(365));
    expect(answer.revoked).toEqual([id]);
    await h.inStep();
    expect(await h.find(id)).toMatchObject({ status: 'revoked' });
    await expect(makeEnrolled(h.db)).rejects.toMatchObject({ code: 'noActiveIssuer' });
    await expect(enroll(h.est, renewRequest(device, leaf, newKey()))).rejects.toMatchObject({ code: 'issuerRevoked' });
  });
});

describe('a certificate from elsewhere is refused', () => {
  const cases: [string, (csr: Buffer) => Promise<[Buffer, (Buffer | undefined)?, Buffer[]?]>, string][] = [
    ['for another key', async () => [await sign((await requested('Another')).csr)], 'certificate'],
    ['for a CA above others', async (csr) => [await sign(csr, { pathLen: undefined })], 'certificate'],
    ['whose chain has no root', async (csr) => [await sign(csr), undefined, [await sign(csr)]], 'chain'],
    ['signed by another root', async (csr) => [await signedByOther(csr)], 'certificate'],
    ['without a CRL of its root', async (csr) => [await sign(csr), await crlOfOther()], 'crls'],
    ['that its root has revoked', async (csr) => [await revokedOne(csr), await root.crl(365)], 'certificate'],
  ];
  const other = async () => {
    const where = path.join(directory, `other-${Math.trunc(performance.now())}`);
    return OfflineRoot.init(
      where,
      { subject: commonName('X'), keyType: 'ec-p256', years: 20 },
      PASSPHRASE,
      systemClock,
    );
  };
  const signedByOther = async (csr: Buffer) =>
    (await other()).sign(csr, { statusUrl: STATUS_URL, years: 1, pathLen: 0 });
  const crlOfOther = async () => (await other()).crl(365);
  const revokedOne = async (csr: Buffer) => {
    const der = await sign(csr);
    await root.revoke(readCertificate(der).serial, 'superseded');
    return der;
  };

  test.each(cases)('%s', async (name, make, member) => {
    const { id, csr } = await requested(`Refused ${name}`);
    const [certificate, crl, chain] = await make(csr);
    const attempt = importing(id, certificate, crl ?? (await root.crl(365)), chain);
    await expect(attempt).rejects.toMatchObject({ kind: 'invalid', member });
    expect(await h.est.issuers.find(id)).toBeUndefined();
  });

  test('when it is for a key that nobody requested, or a request that was altered since', async () => {
    const { id, csr } = await requested('Altered');
    const certificate = await sign(csr);
    const crl = await root.crl(365);
    const nobody = importing('01900000-0000-7000-8000-000000000000', certificate, crl);
    await expect(nobody).rejects.toMatchObject({ kind: 'notFound' });
    await h.db.tamper(`update issuers set terms = '{"profiles":["device"]}' where id = $1`, [id]);
    await expect(importing(id, certificate, crl)).rejects.toMatchObject({ code: 'rowMac' });
    await expect(issuerRequest(h.api, h.admin, id)).rejects.toMatchObject({ code: 'rowMac' });
  });
});

describe('the directory of an offline root', () => {
  test('opens by its passphrase alone, and holds no key in clear', async () => {
    const where = path.join(directory, 'root');
    await expect(OfflineRoot.open(where, 'another passphrase', systemClock)).rejects.toMatchObject({
      kind: 'forbidden',
    });
    const again = await OfflineRoot.open(where, PASSPHRASE, systemClock);
    expect(again.id).toBe(root.id);
    const text = await readFile(path.join(where, 'root.key'), 'utf8');
    expect(text).not.toMatch(/PRIVATE|PASSPHRASE|correct/);
    expect(JSON.parse(text)).toMatchObject({ kdf: 'scrypt', N: 131_072 });
    await expect(
      OfflineRoot.init(where, { subject: commonName('Y'), keyType: 'ec-p256', years: 1 }, PASSPHRASE, systemClock),
    ).rejects.toMatchObject({ kind: 'conflict' });
    const other = path.join(directory, 'swapped');
    await OfflineRoot.init(other, { subject: commonName('Y'), keyType: 'ec-p256', years: 1 }, PASSPHRASE, systemClock);
    await rm(path.join(other, 'root.key'));
    await writeFile(path.join(other, 'root.key'), text);
    await expect(OfflineRoot.open(other, PASSPHRASE, systemClock)).rejects.toMatchObject({ kind: 'forbidden' });
  });

  test('refuses a short passphrase, a life beyond its own, and counts its CRLs up', async () => {
    const plan = { subject: commonName('Z'), keyType: 'ec-p256' as const, years: 1 };
    const where = path.join(directory, 'short');
    await expect(OfflineRoot.init(where, plan, 'short', systemClock)).rejects.toMatchObject({ kind: 'invalid' });
    const made = await OfflineRoot.init(where, plan, PASSPHRASE, systemClock);
    const { csr } = await requested('For a year');
    await expect(made.sign(csr, { statusUrl: STATUS_URL, years: 10, pathLen: 0 })).rejects.toMatchObject({
      kind: 'invalid',
    });
    const numbers = [readCrl(await made.crl(1)).number, readCrl(await made.crl(1)).number];
    expect(numbers).toEqual([1n, 2n]);
    const [der] = fromPem(await readFile(path.join(where, 'root.crl'), 'utf8'), 'X509 CRL');
    expect(readCrl(der!).number).toBe(2n);
    await expect(made.revoke('0123', 'superseded')).rejects.toMatchObject({ kind: 'notFound' });
  });
});
