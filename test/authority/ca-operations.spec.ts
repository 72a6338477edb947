import { randomBytes, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  approve,
  ensureHierarchy,
  IssuerDirectory,
  issuersToCome,
  proposeIssuer,
  proposeIssuerActivation,
  proposeIssuerRevocation,
  readRoot,
  reconcileIssuers,
  reject,
  renewOcspDelegate,
  revokeCertificate,
  type Actor,
  type AuthorityContext,
  type Issuer,
  type Proposed,
} from '#authority';
import { AuthorityError } from '#kernel';
import { readCertificate, validatePath } from '#pki';
import { listIssuers } from '#store';
import { silent, startTestDatabase, STATUS_URL, type TestDatabase } from '../harness/database.js';
import { selfSigned } from '../est/self-signed.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeEnrolled, renewRequest } from '../harness/fixtures.js';
import { makePerson } from '../harness/people.js';

type Person = Actor & { personId: string };

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let admin: Person;
let approver: Person;
const ocspKek = randomBytes(32);

beforeAll(async () => {
  db = await startTestDatabase();
  [api, est, worker] = [await db.context('api'), await db.context('est'), await db.context('worker')];
  admin = await makePerson(db, ['admin']);
  approver = await makePerson(db, ['approver']);
});
afterAll(() => db.stop());

const decided = async (proposed: Promise<Proposed>) => {
  const { approvalId, digest } = await proposed;
  const { result } = await approve(api, approver, approvalId, { digest });
  await inStep();
  return result as { issuerId: string };
};

/** Every plane has followed the log to its end. */
async function inStep(): Promise<void> {
  const [head] = await db.sql<{ seq: string }>('select seq from status_counter');
  for (const one of [api, est, worker]) await one.follower.catchUp(Number(head!.seq));
}

let counter = 0;
const create = async (): Promise<string> =>
  (await decided(proposeIssuer(api, admin, { name: `Issuing CA of a spec ${++counter}` }))).issuerId;
const find = async (id: string): Promise<Issuer> => (await est.issuers.find(id))!;
/** What the worker does when it sees a new CA. */
const publish = async (id: string) => renewOcspDelegate(worker, (await worker.issuers.find(id))!, { ocspKek });
const activate = async (id: string): Promise<void> => {
  await publish(id);
  await decided(proposeIssuerActivation(api, admin, id));
};

/** By code that is not ours: each certificate verifies under the key of the next, up to the root. */
async function verifiesUnder(der: Buffer, id: string): Promise<boolean> {
  const [leaf, ca, root] = [der, (await find(id)).certificate, (await est.issuers.root()).certificate].map(
    (one) => new X509Certificate(one),
  );
  return leaf!.checkIssued(ca!) && leaf!.verify(ca!.publicKey) && ca!.checkIssued(root!) && ca!.verify(root!.publicKey);
}

/** A CA that a plane's role, which may store certificates, puts in the place of the one that is being made. */
async function plant(issuerId: string): Promise<void> {
  const evil = new X509Certificate((await selfSigned('Evil')).cert).raw;
  const est = await db.as('est');
  const written = await est.transaction((tx) =>
    tx.run('update certificates set der = $2 where requester = $1 and der is null', [`issuer:${issuerId}`, evil]),
  );
  expect(written).toBe(1);
}

describe('a new issuing CA', () => {
  test('is proposed, approved by another, certified by the root and announced as retired on every plane', async () => {
    const proposed = await proposeIssuer(api, admin, { name: 'Second CA' });
    expect(await db.sql(`select 1 from issuers where name = 'Second CA'`)).toEqual([]);
    const { issuerId } = await decided(Promise.resolve(proposed));
    for (const one of [api, est, worker]) {
      expect(await one.issuers.find(issuerId)).toMatchObject({ status: 'retired', kind: 'issuing', name: 'Second CA' });
    }
    const root = await est.issuers.root();
    const { certificate } = await find(issuerId);
    const anchors = [{ subjectDer: root.subjectDer, publicKey: root.publicKey, set: 'own' }];
    const leaf = readCertificate(certificate);
    expect(leaf.basicConstraints).toMatchObject({ ca: true, pathLen: 0 });
    const path = validatePath({ leaf, intermediates: [], anchors, at: db.clock.now(), revocation: () => 'good' });
    expect(path).toMatchObject({ ok: true });
    const audits = await db.sql(`select action from audit where subject = $1`, [`issuer:${issuerId}`]);
    expect(audits).toEqual([{ action: 'ca.created' }]);
    const [blocked] = await db.sql(`select 1 from blocked_keys where spki_sha256 = $1`, [leaf.publicKey.sha256]);
    expect(blocked).toBeDefined();
  });

  test('has a name that no other CA has', async () => {
    await expect(proposeIssuer(api, admin, { name: 'Touchmark Root CA' })).rejects.toMatchObject({ kind: 'conflict' });
    const first = await proposeIssuer(api, admin, { name: 'Twice' });
    const second = await proposeIssuer(api, admin, { name: 'Twice' });
    await decided(Promise.resolve(first));
    await expect(approve(api, approver, second.approvalId, {})).rejects.toMatchObject({ kind: 'conflict' });
    expect(await db.sql(`select 1 from issuers where name = 'Twice'`)).toHaveLength(1);
  });

  test('comes to nothing when it is rejected, approved by its proposer or proposed by whoever may not', async () => {
    const rejected = await proposeIssuer(api, admin, { name: 'Never' });
    await reject(api, approver, rejected.approvalId);
    await expect(approve(api, approver, rejected.approvalId, {})).rejects.toMatchObject({ kind: 'conflict' });
    const both = await makePerson(db, ['admin', 'approver']);
    const own = await proposeIssuer(api, both, { name: 'Never' });
    await expect(approve(api, both, own.approvalId, {})).rejects.toMatchObject({ code: 'samePerson' });
    const officer = await makePerson(db, ['officer']);
    await expect(proposeIssuer(api, officer, { name: 'Never' })).rejects.toMatchObject({ kind: 'forbidden' });
    expect(await db.sql(`select 1 from issuers where name = 'Never'`)).toEqual([]);
  });

  test('is not what a plane wrote in the place of its certificate, before or while it was signed', async () => {
    const before = await proposeIssuer(api, admin, { name: 'Written before' });
    const unsigned = { ...api.signer, createKey: api.signer.createKey.bind(api.signer) };
    const cut = () => Promise.reject(new AuthorityError('unavailable', 'cut off'));
    const { result } = await approve({ ...api, signer: { ...unsigned, sign: cut } }, approver, before.approvalId, {});
    const first = String(result['issuerId']);
    await plant(first);

    const during = await proposeIssuer(api, admin, { name: 'Written meanwhile' });
    const sign: typeof api.signer.sign = async (request) => {
      const [row] = await db.sql<{ id: string }>(`select id from issuers where name = 'Written meanwhile'`);
      await plant(row!.id);
      return api.signer.sign(request);
    };
    const made = await approve({ ...api, signer: { ...unsigned, sign } }, approver, during.approvalId, {});
    const second = String(made.result['issuerId']);

    expect(await reconcileIssuers(worker)).toBe(0);
    await inStep();
    for (const id of [first, second]) {
      expect(await find(id)).toBeUndefined();
      expect(await db.sql('select 1 from issuers where id = $1 and certificate is null', [id])).toHaveLength(1);
    }
  });

  test.each(['before the signature', 'after the signature'])(
    'that is cut off %s is finished by the worker',
    async (when) => {
      const cut = () => new AuthorityError('unavailable', 'cut off');
      const rows = `select count(*)::int as n from status_changes where kind = 'issuer'`;
      const [before] = await db.sql<{ n: number }>(rows);
      const broken: AuthorityContext =
        when === 'before the signature'
          ? { ...api, signer: { createKey: (type) => api.signer.createKey(type), sign: () => Promise.reject(cut()) } }
          : {
              ...api,
              database: {
                single: (work) => api.database.single(work),
                // The announcement is undone.
                transaction: (work, options) =>
                  api.database.transaction(async (tx) => {
                    const result = await work(tx);
                    const [now] = await tx.rows<{ n: number }>(rows);
                    if (now!.n > before!.n) throw cut();
                    return result;
                  }, options),
              },
            };
      const { approvalId } = await proposeIssuer(api, admin, { name: `Cut off ${when}` });
      const { result } = await approve(broken, approver, approvalId, {});
      const { issuerId } = result as { issuerId: string };
      await inStep();
      expect(await find(issuerId)).toBeUndefined();
      const signed = await db.sql(`select 1 from certificates where requester = $1 and der is not null`, [
        `issuer:${issuerId}`,
      ]);
      expect(signed).toHaveLength(when === 'after the signature' ? 1 : 0);
      const coming = async () => (await issuersToCome(api, admin)).find(({ id }) => id === issuerId);
      expect(await coming()).toMatchObject({ name: `Cut off ${when}`, state: 'certifying', approval: null });

      expect(await reconcileIssuers(worker)).toBe(1);
      expect(await reconcileIssuers(worker)).toBe(0);
      await inStep();
      expect(await find(issuerId)).toMatchObject({ status: 'retired' });
      expect(await coming()).toBeUndefined();
      expect(await db.sql(`select 1 from certificates where requester = $1`, [`issuer:${issuerId}`])).toHaveLength(1);
    },
  );
});

describe('activation', () => {
  test('waits until the status of the CA is published', async () => {
    const id = await create();
    await expect(proposeIssuerActivation(api, admin, id)).rejects.toMatchObject({ code: 'issuerNotPublished' });
  });

  test('makes it the one that issues, retires the former, and is refused for what is active, revoked, the root, unknown', async () => {
    const former = await est.issuers.issuing();
    const id = await create();
    await activate(id);
    expect((await est.issuers.issuing()).id).toBe(id);
    expect(await find(former.id)).toMatchObject({ status: 'retired' });
    await expect(proposeIssuerActivation(api, admin, id)).rejects.toMatchObject({ kind: 'conflict' });
    const root = await est.issuers.root();
    await expect(proposeIssuerActivation(api, admin, root.id)).rejects.toMatchObject({ kind: 'conflict' });
    for (const unknown of ['01900000-0000-7000-8000-000000000000', 'x']) {
      await expect(proposeIssuerActivation(api, admin, unknown)).rejects.toMatchObject({ kind: 'notFound' });
    }
    expect(
      await db.sql(`select action from audit where subject = $1 order by id desc limit 1`, [`issuer:${id}`]),
    ).toEqual([{ action: 'ca.activated' }]);
  });

  test('devices enroll under the new CA; those of the retired one renew and get a certificate of the new one', async () => {
    const former = await est.issuers.issuing();
    const old = await makeEnrolled(db);
    expect(await verifiesUnder(old.certificate, former.id)).toBe(true);
    const id = await create();
    await activate(id);
    const fresh = await makeEnrolled(db);
    expect(await verifiesUnder(fresh.certificate, id)).toBe(true);
    expect(await verifiesUnder(fresh.certificate, former.id)).toBe(false);
    const renewed = await enroll(est, renewRequest(old.device, old.certificate, newKey()));
    expect(await verifiesUnder(renewed, id)).toBe(true);
    // What a device needs for a path of any of them.
    const chain = (await est.issuers.chain()).map((one) => one.id);
    expect(chain.slice(0, 2)).toEqual([(await est.issuers.root()).id, id]);
    expect(chain).toContain(former.id);
  });

  test('what was recorded under the former CA is signed by the former CA', async () => {
    const former = await est.issuers.issuing();
    const made = await makeDevice(db);
    const key = newKey();
    const down: AuthorityContext = {
      ...est,
      signer: { ...est.signer, sign: () => Promise.reject(new AuthorityError('unavailable', 'down')) },
    };
    await expect(enroll(down, enrollRequest(made, key))).rejects.toMatchObject({ kind: 'unavailable' });
    await activate(await create());
    const certificate = await enroll(est, enrollRequest(made, key));
    expect(await verifiesUnder(certificate, former.id)).toBe(true);
  });
});

describe('the revocation of a CA', () => {
  test('is no business of one person: its certificate can be neither revoked nor held', async () => {
    const { serial } = await api.issuers.issuing();
    for (const reason of ['cACompromise', 'certificateHold'] as const) {
      const attempt = revokeCertificate(api, db.operator, serial, { reason });
      await expect(attempt).rejects.toMatchObject({ kind: 'conflict', code: 'needsApproval' });
    }
    expect(api.follower.index.certificate(serial)).toBeUndefined();
  });

  test('goes through the root; what it issued renews no more, and another one issues on', async () => {
    const doomed = await create();
    await activate(doomed);
    const { device, certificate } = await makeEnrolled(db);
    const next = await create();
    await activate(next);
    await decided(proposeIssuerRevocation(api, admin, doomed, 'cACompromise'));
    const { serial } = await find(doomed);
    expect(await find(doomed)).toMatchObject({ status: 'revoked' });
    expect(est.follower.index.certificate(serial)).toMatchObject({ status: 'revoked', reason: 'cACompromise' });
    const [row] = await db.sql(`select issuer_id from status_changes where kind = 'certificate' and subject = $1`, [
      serial,
    ]);
    expect(row).toEqual({ issuer_id: (await est.issuers.root()).id });
    const renewal = enroll(est, renewRequest(device, certificate, newKey()));
    await expect(renewal).rejects.toMatchObject({ kind: 'forbidden' });
    expect(await verifiesUnder((await makeEnrolled(db)).certificate, next)).toBe(true);
    expect((await est.issuers.chain()).map((one) => one.id)).not.toContain(doomed);
    await expect(proposeIssuerActivation(api, admin, doomed)).rejects.toMatchObject({ kind: 'conflict' });
    await expect(proposeIssuerRevocation(api, admin, doomed, 'cACompromise')).rejects.toMatchObject({
      kind: 'conflict',
    });
  });

  test('is refused for the root, for a hold and for what is unknown', async () => {
    const root = await api.issuers.root();
    await expect(proposeIssuerRevocation(api, admin, root.id, 'cACompromise')).rejects.toMatchObject({
      code: 'rootNotRevocable',
    });
    const { id } = await api.issuers.issuing();
    await expect(proposeIssuerRevocation(api, admin, id, 'certificateHold')).rejects.toMatchObject({
      kind: 'conflict',
    });
    const unknown = proposeIssuerRevocation(api, admin, '01900000-0000-7000-8000-000000000000', 'superseded');
    await expect(unknown).rejects.toMatchObject({ kind: 'notFound' });
  });

  test('of the one that issues stops issuing until another is activated', async () => {
    const spare = await create();
    const active = await est.issuers.issuing();
    await decided(proposeIssuerRevocation(api, admin, active.id, 'cessationOfOperation'));
    const made = await makeDevice(db);
    await expect(enroll(est, enrollRequest(made, newKey()))).rejects.toMatchObject({ code: 'noActiveIssuer' });
    await activate(spare);
    expect(await verifiesUnder(await enroll(est, enrollRequest(made, newKey())), spare)).toBe(true);
  });
});

describe('a CA that nobody announced is not believed', () => {
  let planted: string;
  beforeEach(async () => {
    // The attacker's own self-made CA: here the key of a device, certified as one, under the name of an older issuer.
    const { certificate } = await makeEnrolled(db);
    const spki = readCertificate(certificate).publicKey.spki;
    const [row] = await db.sql<{ id: string }>(
      `insert into issuers (id, kind, parent_id, name, ca_key_id, subject_der, spki, certificate, status_url, not_after, created_at)
       select gen_random_uuid(), kind, parent_id, name, ca_key_id, subject_der, $1, $2, 'http://evil.example', not_after,
         '2020-01-01' from issuers where kind = 'issuing' order by created_at limit 1 returning id`,
      [spki, certificate],
    );
    planted = row!.id;
  });

  const directories = () => [api, est, worker].map((one) => new IssuerDirectory(one.database, one.follower, silent));

  test('by any plane, also where it starts anew', async () => {
    for (const directory of directories()) {
      const all = await directory.list();
      expect(all.length).toBeGreaterThan(1);
      expect(all.map((one) => one.id)).not.toContain(planted);
      await expect(directory.require(planted)).rejects.toMatchObject({ kind: 'unavailable' });
    }
  });

  test('by the next start, which neither announces nor certifies it', async () => {
    await db.sql(
      `insert into issuers (id, kind, parent_id, name, ca_key_id, subject_der, spki, status_url, not_after, created_at)
       select gen_random_uuid(), kind, parent_id, name, ca_key_id, subject_der, $1, status_url, not_after, '2019-01-01'
       from issuers where kind = 'issuing' order by created_at limit 1`,
      [newKey().spki],
    );
    const before = await db.sql(`select 1 from status_changes`);
    const certificates = await db.sql(`select 1 from certificates`);
    const owner = await db.as('owner');
    const context = { ...worker, plane: 'init' as const, database: owner };
    await ensureHierarchy(context, STATUS_URL);
    await reconcileIssuers(worker);
    expect(await db.sql(`select 1 from status_changes`)).toHaveLength(before.length);
    expect(await db.sql(`select 1 from certificates`)).toHaveLength(certificates.length);
  });

  test('nor is one whose certificate was swapped for another', async () => {
    const { id, certificate } = await est.issuers.issuing();
    const others = [(await makeEnrolled(db)).certificate, Buffer.from('no certificate at all')];
    for (const other of others) {
      const attempt = db.sql(`update issuers set certificate = $2 where id = $1`, [id, other]);
      await expect(attempt).rejects.toThrow(/written once/);
      await db.tamper(`update issuers set certificate = $2 where id = $1`, [id, other]);
      try {
        for (const directory of directories()) {
          expect(await directory.find(id)).toBeUndefined();
          expect((await directory.root()).kind).toBe('root');
        }
        await expect(readRoot({ database: await db.as('worker'), macKey: db.macKey })).rejects.toMatchObject({
          code: 'issuersAltered',
        });
      } finally {
        await db.tamper(`update issuers set certificate = $2 where id = $1`, [id, certificate]);
      }
    }
    expect((await directories()[0]!.find(id))?.id).toBe(id);
  });

  test('what counts is the certificate, not the columns beside it', async () => {
    const { id, publicKey, notAfter } = await est.issuers.issuing();
    const kept = (await (await db.as('owner')).transaction(listIssuers)).find((row) => row.id === id)!;
    await db.tamper(
      `update issuers set spki = $2, subject_der = $3, not_after = '2099-01-01', kind = 'root' where id = $1`,
      [id, newKey().spki, Buffer.from('3000', 'hex')],
    );
    try {
      const [directory] = directories();
      expect(await directory!.find(id)).toMatchObject({
        kind: 'issuing',
        publicKey: { spki: publicKey.spki },
        notAfter,
      });
    } finally {
      await db.tamper(
        `update issuers set spki = $2, subject_der = $3, not_after = $4, kind = 'issuing' where id = $1`,
        [id, kept.spki, kept.subjectDer, kept.notAfter],
      );
    }
  });
});

test('the CAs of an older database, which no log announced, are announced by the next start', async () => {
  const old = await startTestDatabase();
  try {
    await old.tamper(`delete from status_changes`);
    await old.tamper(`update status_counter set seq = 0, mac = decode(repeat('00', 32), 'hex')`);
    const context = { ...(await old.context('worker')), plane: 'init' as const, database: await old.as('owner') };
    expect(await context.issuers.list()).toEqual([]);
    // Planted in front of them: one with a certificate, one that waits for it.
    for (const certificate of [(await makeEnrolled(db)).certificate, null]) {
      await old.sql(
        `insert into issuers (id, kind, parent_id, name, ca_key_id, subject_der, spki, certificate, status_url, not_after, created_at)
         select gen_random_uuid(), kind, parent_id, 'Planted', ca_key_id, subject_der, $1, $2, status_url, not_after, '2020-01-01'
         from issuers`,
        [newKey().spki, certificate],
      );
    }
    await ensureHierarchy(context, STATUS_URL);
    const issuers = await context.issuers.list();
    expect(issuers.map(({ kind, status }) => [kind, status])).toEqual([
      ['root', 'active'],
      ['issuing', 'active'],
    ]);
    expect(issuers.map(({ name }) => name)).not.toContain('Planted');
    const certified = await old.sql(`select 1 from certificates`);
    expect(certified).toHaveLength(2);
  } finally {
    await old.stop();
  }
});
