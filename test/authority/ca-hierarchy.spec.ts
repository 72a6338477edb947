import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  createOrganization,
  enrollOverEst,
  findCaRevocation,
  IssuerDirectory,
  proposeCrossSigning,
  proposeIssuer,
  proposeIssuerRevocation,
  registerDevice,
  renewServerCertificate,
  revokeCertificate,
  type Actor,
  type CaWish,
  type Issuer,
} from '#authority';
import { encodeCsr, generateKeyPair, OID, readCertificate, readPublicKey, validatePath } from '#pki';
import type { Name } from '#pki';
import { silent } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeEnrolled, makeProduct, renewRequest } from '../harness/fixtures.js';
import { Hierarchy } from '../harness/hierarchy.js';

let h: Hierarchy;
beforeAll(async () => {
  h = await Hierarchy.start();
});
afterAll(() => h.db.stop());

/** As a device that knows one root alone, and what cacerts tells. */
async function verify(leaf: Buffer, root: Issuer) {
  const bag = (await h.est.issuers.cacerts(h.db.clock.now())).map(readCertificate);
  const anchors = [{ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'pinned' }];
  return validatePath({ leaf: readCertificate(leaf), intermediates: bag, anchors, at: h.db.clock.now() });
}

describe('CAs below CAs', () => {
  test('a root of its own, a CA in between and an issuing CA carry a device, and cacerts tells them all (E31, E36)', async () => {
    const root = await h.create({ name: 'Second Root', kind: 'root', keyType: 'ed25519', pathLen: 2 });
    expect(root).toMatchObject({ kind: 'root', status: 'retired', above: [] });
    await h.activate(root.id);
    const middle = await h.create({
      name: 'Middle',
      kind: 'intermediate',
      parentId: root.id,
      pathLen: 1,
      keyType: 'rsa-3072',
    });
    expect(middle).toMatchObject({ kind: 'intermediate', pathLen: 1, above: [{ id: root.id }] });
    await h.activate(middle.id);
    const issuing = await h.create({
      ...{ name: 'Deep', parentId: middle.id, keyType: 'ec-p384' },
      subject: { organization: 'Example', country: 'CH' },
    });
    await h.activate(issuing.id);
    expect((await h.find(issuing.id)).above.map(({ name }) => name)).toEqual(['Middle', 'Second Root']);
    expect((await h.est.issuers.chainFor(issuing.id)).map(({ name }) => name)).toEqual([
      'Deep',
      'Middle',
      'Second Root',
    ]);

    const { device, certificate } = await makeEnrolled(h.db);
    const result = await verify(certificate, root);
    expect(result.ok && result.path.length).toBe(3);
    // Under another root it is nobody's.
    expect(await verify(certificate, await h.est.issuers.root())).toMatchObject({ ok: false });
    const bag = await h.est.issuers.cacerts(h.db.clock.now());
    expect(new Set(bag.map((one) => one.toString('hex'))).size).toBe(bag.length);
    expect(bag.length).toBe((await h.est.issuers.list()).length);
    // It renews: our own path check knows every root and every depth.
    expect(await enroll(h.est, renewRequest(device, certificate, newKey()))).toBeInstanceOf(Buffer);
  });

  test('when the CA in between is revoked, nothing under it issues or is believed any more', async () => {
    const { device, certificate } = await makeEnrolled(h.db);
    const middle = (await h.est.issuers.list()).find(({ name }) => name === 'Middle')!;
    await h.decided(proposeIssuerRevocation(h.api, h.admin, middle.id, 'cACompromise'));
    const renewal = enrollOverEst(h.est, renewRequest(device, certificate, newKey()));
    await expect(renewal).rejects.toMatchObject({ kind: 'forbidden' });
    await expect(makeEnrolled(h.db)).rejects.toMatchObject({ code: 'noActiveIssuer' });
    const next = await h.create({ name: 'After Middle' });
    await h.activate(next.id);
    const fresh = await makeEnrolled(h.db);
    expect(await verify(fresh.certificate, await h.est.issuers.root())).toMatchObject({ ok: true });
    expect((await h.est.issuers.chain()).map(({ name }) => name)).not.toContain('Deep');
  });

  test.each<[string, Omit<CaWish, 'kind'> & Partial<CaWish>, string, string]>([
    ['an issuing CA under an issuing one', { name: 'x', parentId: 'issuing' }, 'invalid', 'parentId'],
    ['an unknown parent', { name: 'x', parentId: '01900000-0000-7000-8000-000000000000' }, 'invalid', 'parentId'],
    ['a parent of a root', { name: 'x', kind: 'root', parentId: 'root' }, 'invalid', 'parentId'],
    ['an issuing CA that certifies CAs (CX09)', { name: 'x', pathLen: 1 }, 'invalid', 'pathLen'],
    ['a CA in between that certifies none', { name: 'x', kind: 'intermediate', pathLen: 0 }, 'invalid', 'pathLen'],
    ['a key that no CA has', { name: 'x', keyType: 'ml-kem-768' }, 'invalid', 'keyType'],
    [
      'a life beyond that of its issuer (CX06)',
      { name: 'x', kind: 'intermediate', validitySeconds: 630_720_000 },
      'invalid',
      'validitySeconds',
    ],
    [
      'an unknown organization',
      { name: 'x', organizationId: '01900000-0000-7000-8000-000000000000' },
      'invalid',
      'organizationId',
    ],
    ['devices for a root', { name: 'x', kind: 'root', profiles: ['device'] }, 'invalid', 'profiles'],
    ['a profile of CAs', { name: 'x', profiles: ['issuing-ca'] }, 'invalid', 'profiles'],
    [
      'one mailbox as constraint (X22)',
      { name: 'x', nameConstraints: { permitted: { email: ['a@b.example'] } } },
      'invalid',
      'permitted.email',
    ],
    ['an external root', { name: 'x', kind: 'root', external: true }, 'invalid', 'external'],
  ])('%s is refused', async (_, wish, kind, member) => {
    const names: Record<string, () => Promise<Issuer>> = {
      issuing: () => h.est.issuers.issuing(),
      root: () => h.est.issuers.root(),
    };
    const parentId = wish.parentId === undefined ? undefined : ((await names[wish.parentId]?.())?.id ?? wish.parentId);
    const before = await h.db.sql('select 1 from approvals');
    await expect(proposeIssuer(h.api, h.admin, { ...wish, parentId })).rejects.toMatchObject({ kind, member });
    expect(await h.db.sql('select 1 from approvals')).toHaveLength(before.length);
  });
});

describe('who issues what', () => {
  test('a CA of one organization, or for some profiles, issues for these alone, and one CA of each kind is active', async () => {
    const everybody = await h.est.issuers.issuing();
    const owner = await createOrganization(h.api, h.db.operator, { name: 'Tester', kind: 'testing', country: 'CH' });
    const own = await h.activate((await h.create({ name: 'Own CA', organizationId: owner.id })).id);
    const servers = await h.activate((await h.create({ name: 'Server CA', profiles: ['tls-server'] })).id);
    expect(await h.find(everybody.id)).toMatchObject({ status: 'active' });
    expect(own.terms).toEqual({ organizationId: owner.id });

    const signer = (der: Buffer) => readCertificate(der).authorityKeyId!.toString('hex');
    const officer: Actor = { ...h.db.operator, organizationId: owner.id };
    const product = await makeProduct(h.api, officer);
    const { device, enrollment } = await registerDevice(h.api, officer, product);
    const certificate = await enroll(h.est, enrollRequest({ device, secret: enrollment.secret }, newKey()));
    expect(signer(certificate)).toBe(own.publicKey.keyId.toString('hex'));
    expect(signer((await makeEnrolled(h.db)).certificate)).toBe(everybody.publicKey.keyId.toString('hex'));
    const server = { plane: 'est' as const, privateKey: newKey().privateKey, hostnames: ['localhost'] };
    const { chain } = await renewServerCertificate(h.est, server);
    expect(signer(chain[0]!)).toBe(servers.publicKey.keyId.toString('hex'));

    // The next one for the same organization takes the place of the first, and of no other.
    const second = await h.activate((await h.create({ name: 'Own CA 2', organizationId: owner.id })).id);
    expect([await h.find(own.id), await h.find(servers.id), second].map(({ status }) => status)).toEqual([
      'retired',
      'active',
      'active',
    ]);
  });

  test('a CA that ends before what it issues cuts it off, and says so once (X08)', async () => {
    const root = await h.est.issuers.root();
    const day = 86_400;
    const short = await h.create({ name: 'Short', profiles: ['device'], parentId: root.id, validitySeconds: 10 * day });
    await h.activate(short.id);
    const alarms: unknown[] = [];
    const log = { error: (...said: unknown[]) => void alarms.push(said) };
    const issuers = new IssuerDirectory(h.est.database, h.est.follower, log as never);
    const now = h.db.clock.now();
    const wanted = { issuerOrgId: undefined, profile: 'device', validitySeconds: 90 * day };
    // Made for this profile alone, it goes before what lives longer.
    for (let i = 0; i < 2; i++) expect((await issuers.issuingFor(wanted, now)).id).toBe(short.id);
    expect(alarms).toEqual([[expect.objectContaining({ issuer: short.id }), expect.stringContaining('ALARM')]]);
    const { certificate } = await makeEnrolled(h.db);
    expect(readCertificate(certificate).notAfter).toEqual(short.notAfter);
    await h.decided(proposeIssuerRevocation(h.api, h.admin, short.id, 'superseded'));
  });

  test('what a row says of it is not believed where the log did not announce it', async () => {
    const owned = (await h.est.issuers.list()).find(({ name }) => name === 'Own CA 2')!;
    for (const terms of [null, Buffer.from('{"profiles":["device"]}')]) {
      await h.db.tamper('update issuers set terms = $2 where id = $1', [owned.id, terms]);
      const directory = new IssuerDirectory(h.est.database, h.est.follower, silent);
      expect(await directory.find(owned.id)).toBeUndefined();
    }
    await h.db.tamper('update issuers set terms = $2 where id = $1', [owned.id, owned.termsBytes]);
    const restored = new IssuerDirectory(h.est.database, h.est.follower, silent);
    expect(await restored.find(owned.id)).toBeDefined();
  });

  test('names that its constraints do not allow are refused before anything is recorded (X22)', async () => {
    const former = await h.est.issuers.issuing();
    const constrained = await h.create({
      name: 'Constrained',
      nameConstraints: { permitted: { uri: ['.example.com'] }, excluded: { ip: ['0.0.0.0/0'] } },
    });
    const extension = readCertificate(constrained.certificate).extensions.get(OID.nameConstraints);
    expect(extension).toMatchObject({ critical: true });
    await h.activate(constrained.id);
    const made = await makeDevice(h.db);
    const before = await h.db.sql('select 1 from serials');
    const attempt = enrollOverEst(h.est, enrollRequest(made, newKey()));
    await expect(attempt).rejects.toMatchObject({ kind: 'forbidden', code: 'nameConstraints' });
    expect(await h.db.sql('select 1 from serials')).toHaveLength(before.length);
    await h.activate(former.id);
    expect(await enroll(h.est, enrollRequest(made, newKey()))).toBeInstanceOf(Buffer);
  });
});

describe("another CA's key", () => {
  const subject: Name = [
    [{ type: OID.organizationName, value: 'Customer' }],
    [{ type: OID.commonName, value: 'Customer CA' }],
  ];
  const csrOfCustomer = async (name = subject) => {
    const key = await generateKeyPair('ec-p256');
    return { key, csr: encodeCsr({ subject: name, publicKey: key.publicKey }, key.privateKey).toString('base64') };
  };
  const links = async (id: string) => (await h.est.issuers.links()).filter((one) => one.id === id);

  test('is certified within name constraints and path length, announced and not told to devices', async () => {
    const root = await h.est.issuers.root();
    const { key, csr } = await csrOfCustomer();
    const nameConstraints = { permitted: { dns: ['customer.example'] } };
    const { linkId } = await h.decided<{ linkId: string }>(
      proposeCrossSigning(h.api, h.admin, root.id, { csr, nameConstraints }),
    );
    const [link] = await links(linkId);
    expect(link).toMatchObject({ form: 'subCa', subjectIssuerId: null, issuerId: root.id });
    const certificate = readCertificate(link!.certificate);
    expect(certificate.publicKey.spki.equals(key.publicKey.spki)).toBe(true);
    expect(certificate).toMatchObject({
      basicConstraints: { ca: true, pathLen: 0 },
      keyUsage: ['keyCertSign', 'cRLSign'],
    });
    expect(certificate.extensions.get(OID.nameConstraints)).toMatchObject({ critical: true });
    expect(certificate.crlUris).toHaveLength(1);
    const anchors = [{ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'own' }];
    const at = h.db.clock.now();
    expect(validatePath({ leaf: certificate, intermediates: [], anchors, at })).toMatchObject({ ok: true });
    const bag = await h.est.issuers.cacerts(at);
    expect(bag.some((one) => one.equals(link!.certificate))).toBe(false);
    const [audit] = await h.db.sql(`select outcome from audit where action = 'ca.crossSigned'`);
    expect(audit).toEqual({ outcome: 'success' });
  });

  test('is revoked by two people, put on hold by nobody, and announced no more', async () => {
    const root = await h.est.issuers.root();
    const { key, csr } = await csrOfCustomer([[{ type: OID.commonName, value: 'Customer CA to revoke' }]]);
    const { linkId, serial } = await h.decided<{ linkId: string; serial: string }>(
      proposeCrossSigning(h.api, h.admin, root.id, { csr, unconstrained: true }),
    );
    for (const reason of ['keyCompromise', 'certificateHold'] as const) {
      const alone = revokeCertificate(h.api, h.admin, serial, { reason });
      await expect(alone).rejects.toMatchObject({ kind: 'conflict', code: 'needsApproval' });
    }
    const revoke = (await findCaRevocation(h.api, h.admin, Buffer.from(serial, 'hex')))!;
    await expect(revoke(h.api, 'certificateHold')).rejects.toMatchObject({ kind: 'conflict', member: 'reason' });
    const proposed = await revoke(h.api, 'keyCompromise');
    await expect(approve(h.api, h.admin, proposed.approvalId, proposed)).rejects.toMatchObject({ kind: 'forbidden' });
    expect(h.api.follower.index.certificate(serial)).toBeUndefined();
    await h.decided(Promise.resolve(proposed));
    expect(h.est.follower.index.certificate(serial)).toMatchObject({ status: 'revoked', reason: 'keyCompromise' });
    expect(await links(linkId)).toEqual([]);
    const blocked = await h.db.sql(`select source from blocked_keys where spki_sha256 = $1`, [key.publicKey.sha256]);
    expect(blocked).toEqual([{ source: 'compromised' }]);
    await expect(revoke(h.api, 'keyCompromise')).rejects.toMatchObject({ kind: 'conflict' });
    const device = await makeEnrolled(h.db);
    const own = Buffer.from(readCertificate(device.certificate).serial, 'hex');
    expect(await findCaRevocation(h.api, h.admin, own)).toBeUndefined();
  });

  test.each<[string, (csr: string) => object, string]>([
    ['neither constraints nor that there are none', (csr) => ({ csr }), 'nameConstraints'],
    [
      'both',
      (csr) => ({ csr, unconstrained: true, nameConstraints: { permitted: { dns: ['a.example'] } } }),
      'nameConstraints',
    ],
    ['neither request nor certificate', () => ({ unconstrained: true }), 'csr'],
    [
      'a life beyond that of the profile (CX06)',
      (csr) => ({ csr, unconstrained: true, validitySeconds: 2_000_000_000 }),
      'validitySeconds',
    ],
  ])('is not certified for %s', async (_, wish, member) => {
    const { csr } = await csrOfCustomer();
    const root = await h.est.issuers.root();
    await expect(proposeCrossSigning(h.api, h.admin, root.id, wish(csr))).rejects.toMatchObject({
      kind: 'invalid',
      member,
    });
  });

  test('is not certified under the name of one of ours, with one of our keys, by an issuing CA, or with a broken request', async () => {
    const root = await h.est.issuers.root();
    const wish = { unconstrained: true };
    const ours = (await csrOfCustomer(readCertificate(root.certificate).subject)).csr;
    await expect(proposeCrossSigning(h.api, h.admin, root.id, { ...wish, csr: ours })).rejects.toMatchObject({
      member: 'csr',
    });
    const { csr, key } = await csrOfCustomer();
    const issuing = await h.est.issuers.issuing();
    await expect(proposeCrossSigning(h.api, h.admin, issuing.id, { ...wish, csr })).rejects.toMatchObject({
      member: 'parentId',
    });
    const broken = Buffer.from(csr, 'base64');
    broken[broken.length - 5]! ^= 1;
    const attempt = proposeCrossSigning(h.api, h.admin, root.id, { ...wish, csr: broken.toString('base64') });
    await expect(attempt).rejects.toMatchObject({ kind: 'malformed' });
    await h.db.sql(`insert into blocked_keys (spki_sha256, reason) values ($1, 'keyCompromise')`, [
      key.publicKey.sha256,
    ]);
    await expect(proposeCrossSigning(h.api, h.admin, root.id, { ...wish, csr })).rejects.toMatchObject({
      code: 'keyBlocked',
    });
  });

  test('a link that somebody planted, or a certificate that he swapped, is not believed', async () => {
    const root = await h.est.issuers.root();
    const evil = (await makeEnrolled(h.db)).certificate;
    const id = '01900000-0000-7000-8000-00000000beef';
    await h.db.sql(
      `insert into issuer_links (id, form, subject_issuer_id, issuer_id, name, spki_sha256, certificate)
       values ($1, 'newWithOld', $2, $2, 'Evil', $3, $4)`,
      [id, root.id, readPublicKey(newKey().spki).sha256, evil],
    );
    const [real] = await h.est.issuers.links();
    await expect(h.db.sql('update issuer_links set certificate = $2 where id = $1', [real!.id, evil])).rejects.toThrow(
      /once/,
    );
    await h.db.tamper('update issuer_links set certificate = $2 where id = $1', [real!.id, evil]);
    const directory = new IssuerDirectory(h.est.database, h.est.follower, silent);
    const known = (await directory.links()).map((one) => one.id);
    expect(known).not.toContain(id);
    expect(known).not.toContain(real!.id);
    expect((await directory.cacerts(h.db.clock.now())).some((one) => one.equals(evil))).toBe(false);
    await h.db.tamper('update issuer_links set certificate = $2 where id = $1', [real!.id, real!.certificate]);
  });
});
