import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  crlUri,
  proposeIssuerRollover,
  reconcileIssuers,
  renewOcspDelegate,
  renewServerCertificate,
  type AuthorityContext,
  type Issuer,
} from '#authority';
import { AuthorityError } from '#kernel';
import { readCertificate, validatePath } from '#pki';
import { openOcspDelegate } from '#status';
import { findArtifact } from '#store';
import { newKey } from '../harness/device.js';
import { enroll, makeEnrolled, renewRequest } from '../harness/fixtures.js';
import { Hierarchy } from '../harness/hierarchy.js';

let h: Hierarchy;
let old: Issuer;
beforeAll(async () => {
  h = await Hierarchy.start();
  old = await h.est.issuers.root();
});
afterAll(() => h.db.stop());

const rollover = (id: string, as: AuthorityContext = h.api) =>
  h.decided<{ issuerId: string }>(proposeIssuerRollover(h.api, h.admin, id), as);
const formsOf = async (issuer: Issuer) =>
  (await h.est.issuers.links()).filter((one) => [one.subjectIssuerId, one.issuerId].includes(issuer.id));
/** As a client that trusts one root alone: the old one, say. */
async function verify(leaf: Buffer, root: Issuer, intermediates?: Buffer[]) {
  const bag = intermediates ?? (await h.est.issuers.cacerts(h.db.clock.now()));
  const anchors = [{ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'pinned' }];
  const at = h.db.clock.now();
  return validatePath({ leaf: readCertificate(leaf), intermediates: bag.map(readCertificate), anchors, at });
}

describe('another key for the root', () => {
  let fresh: Issuer;

  test('stands beside the old one in all four forms, of one name, each verified (E32, E33, E34, Q06)', async () => {
    const [before] = [await makeEnrolled(h.db)];
    const { issuerId } = await rollover(old.id);
    fresh = await h.find(issuerId);
    expect(fresh).toMatchObject({ kind: 'root', status: 'retired', terms: { predecessorId: old.id } });
    const links = await formsOf(fresh);
    expect(links.map(({ form }) => form).sort()).toEqual(['newWithOld', 'oldWithNew']);
    const form = (name: string) => links.find((one) => one.form === name)!;
    const [oldWithNew, newWithOld] = [form('oldWithNew'), form('newWithOld')];
    expect([oldWithNew.subjectIssuerId, oldWithNew.issuerId]).toEqual([old.id, fresh.id]);
    expect([newWithOld.subjectIssuerId, newWithOld.issuerId]).toEqual([fresh.id, old.id]);
    const all = [old.certificate, oldWithNew.certificate, newWithOld.certificate, fresh.certificate];
    for (const der of all) {
      const { subjectDer, issuerDer } = readCertificate(der);
      expect([subjectDer, issuerDer]).toEqual([old.subjectDer, old.subjectDer]);
    }
    // By code that is not ours: each key over each.
    const [oo, on, no, nn] = all.map((der) => new X509Certificate(der));
    expect([oo!.verify(oo!.publicKey), nn!.verify(nn!.publicKey)]).toEqual([true, true]);
    expect([on!.verify(nn!.publicKey), no!.verify(oo!.publicKey)]).toEqual([true, true]);
    expect([on!.verify(oo!.publicKey), no!.verify(nn!.publicKey)]).toEqual([false, false]);
    const dates = (der: Buffer) => {
      const { notBefore, notAfter } = readCertificate(der);
      return [notBefore, notAfter];
    };
    expect(dates(oldWithNew.certificate)).toEqual(dates(old.certificate));
    expect(dates(newWithOld.certificate)).toEqual([fresh.notBefore, old.notAfter]);
    expect(fresh.notAfter.getTime()).toBeGreaterThanOrEqual(old.notAfter.getTime());
    const bag = await h.est.issuers.cacerts(h.db.clock.now());
    for (const der of all) expect(bag.filter((one) => one.equals(der))).toHaveLength(1);
    // What was issued under the old key verifies for who trusts the new one alone.
    expect(await verify(before.certificate, fresh)).toMatchObject({ ok: true });
  });

  test('has serials of the same space, its own CRL and its own OCSP signer (X04, C22, O35)', async () => {
    const certificates = [...(await formsOf(fresh)).map((one) => one.certificate), fresh.certificate, old.certificate];
    const serials = certificates.map((der) => readCertificate(der).serial);
    expect(new Set(serials).size).toBe(4);
    const stored = await h.db.sql<{ serial: string }>(`select encode(serial, 'hex') as serial from serials`);
    for (const serial of serials) expect(stored.map((row) => row.serial)).toContain(serial);
    expect(crlUri(fresh, undefined)).not.toBe(crlUri(old, undefined));
    expect(fresh.publicKey.keyId.equals(old.publicKey.keyId)).toBe(false);
    for (const one of [fresh, old]) await renewOcspDelegate(h.worker, one, { ocspKek: h.ocspKek });
    const worker = await h.db.as('worker');
    const delegate = async (id: string) => (await worker.transaction((tx) => findArtifact(tx, `ocsp-delegate/${id}`)))!;
    const { bytes } = await delegate(fresh.id);
    expect(openOcspDelegate(h.ocspKek, bytes, fresh)).toBeDefined();
    expect(() => openOcspDelegate(h.ocspKek, bytes, old)).toThrow(/not signed by the key/);
  });

  test('takes the place of the old one when it is activated; whoever trusts the old root alone follows', async () => {
    await h.activate(fresh.id);
    expect([await h.find(old.id), await h.find(fresh.id)].map(({ status }) => status)).toEqual(['retired', 'active']);
    expect((await h.est.issuers.root()).id).toBe(fresh.id);
    const issuing = await h.activate((await h.create({ name: 'Under the new key' })).id);
    expect(issuing.above.map(({ id }) => id)).toEqual([fresh.id]);
    const { certificate, device } = await makeEnrolled(h.db);
    expect(await verify(certificate, old)).toMatchObject({ ok: true });
    expect(await verify(certificate, fresh)).toMatchObject({ ok: true });
    expect(await enroll(h.est, renewRequest(device, certificate, newKey()))).toBeInstanceOf(Buffer);
    // And whoever connects to our servers with the old root alone: what they send is enough.
    const server = { plane: 'est' as const, privateKey: newKey().privateKey, hostnames: ['localhost'] };
    const { chain } = await renewServerCertificate(h.est, server);
    expect(await verify(chain[0]!, old, chain.slice(1))).toMatchObject({ ok: true });
    expect(await verify(chain[0]!, fresh, chain.slice(1))).toMatchObject({ ok: true });
    expect(await verify(chain[0]!, old, [])).toMatchObject({ ok: false });
  });

  test('is refused for a CA that is not active, and while another key waits', async () => {
    await expect(proposeIssuerRollover(h.api, h.admin, old.id)).rejects.toMatchObject({ kind: 'conflict' });
    await rollover(fresh.id);
    await expect(proposeIssuerRollover(h.api, h.admin, fresh.id)).rejects.toMatchObject({ kind: 'conflict' });
    const short = proposeIssuerRollover(h.api, h.admin, (await h.est.issuers.issuing()).id, { validitySeconds: 2e9 });
    await expect(short).rejects.toMatchObject({ kind: 'invalid', member: 'validitySeconds' });
  });
});

test("an issuing CA's new key keeps name, constraints and terms, and comes under the root as it is now", async () => {
  const nameConstraints = { excluded: { dns: ['forbidden.example'] } };
  const first = await h.activate((await h.create({ name: 'Rolled', nameConstraints })).id);
  const { certificate } = await makeEnrolled(h.db);
  const { issuerId } = await rollover(first.id);
  const second = await h.find(issuerId);
  expect(second.subjectDer.equals(first.subjectDer)).toBe(true);
  expect(second.nameConstraints?.equals(first.nameConstraints!)).toBe(true);
  expect(second).toMatchObject({ kind: 'issuing', pathLen: 0, status: 'retired' });
  expect(second.publicKey.spki.equals(first.publicKey.spki)).toBe(false);
  expect(await formsOf(second)).toEqual([]);
  await h.activate(second.id);
  expect((await h.find(first.id)).status).toBe('retired');
  const now = await makeEnrolled(h.db);
  expect(readCertificate(now.certificate).authorityKeyId?.equals(second.publicKey.keyId)).toBe(true);
  const root = await h.est.issuers.root();
  for (const der of [certificate, now.certificate]) expect(await verify(der, root)).toMatchObject({ ok: true });
});

test('a rollover that is cut off before a signature is finished by the worker, once', async () => {
  const third = await h.create({ name: 'Third Root', kind: 'root' });
  await h.activate(third.id);
  const down = () => Promise.reject(new AuthorityError('unavailable', 'cut off'));
  const broken = { ...h.api, signer: { createKey: h.api.signer.createKey.bind(h.api.signer), sign: down } };
  const { issuerId } = await rollover(third.id, broken);
  expect(await h.est.issuers.find(issuerId)).toBeUndefined();
  expect(await reconcileIssuers(h.worker)).toBe(3);
  expect(await reconcileIssuers(h.worker)).toBe(0);
  await h.inStep();
  const made = await h.find(issuerId);
  expect((await formsOf(made)).map(({ form }) => form).sort()).toEqual(['newWithOld', 'oldWithNew']);
  const audits = await h.db.sql(`select 1 from audit where action = 'ca.rolledOver' and subject = $1`, [
    `issuer:${third.id}`,
  ]);
  expect(audits).toHaveLength(1);
});
