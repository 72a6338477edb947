import { createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import {
  enrollOverEst,
  GuardedSigner,
  IssuerDirectory,
  type AuthorityContext,
  type Issuer,
  type SignerContext,
  currentProfile,
  systemActor,
} from '#authority';
import { addSeconds, AuthorityError, systemClock, wholeSecond } from '#kernel';
import { CrlTbsWriter, OID, readPublicKey, type CrlTemplateHead } from '#pki';
import { scopeOf } from '../../libs/authority/src/context.js';
import { prepareLink, recordLink } from '../../libs/authority/src/prepare-ca.js';
import { prepareIntent, requireKey } from '../../libs/authority/src/issue.js';
import { recordOwnIntent } from '../../libs/authority/src/record-intent.js';
import { crlName } from '#publication';
import { InProcessSigner, type Signer, type SignRequest } from '#signing';
import { findCertificate, nextCrlNumber, type CertificateRow } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enrollRequest, makeDevice, type TestDevice } from '../harness/fixtures.js';

let db: TestDatabase;
let est: AuthorityContext;
let worker: AuthorityContext;
let issuing: Issuer;
let keys: Signer;
let context: SignerContext;
let signer: Signer;
const lines: string[] = [];

beforeAll(async () => {
  db = await startTestDatabase();
  [est, worker] = [await db.context('est'), await db.context('worker')];
  issuing = await est.issuers.issuing();
  keys = new InProcessSigner(await db.as('signer'), db.caKek, systemClock);
  const follower = await db.follower({ plane: 'signer', peppers: undefined });
  await follower.start();
  const database = await db.as('signer');
  const { clock, macKey, lifetimes } = db;
  context = {
    database,
    clock,
    macKey,
    follower,
    issuers: new IssuerDirectory(database, follower, log),
    lifetimes,
    log,
  };
  signer = guarded(keys);
});
afterAll(() => db.stop());

const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });

const guarded = (inner: Signer): GuardedSigner => new GuardedSigner(inner, context);

const refused = async (): Promise<unknown[]> =>
  db.sql(`select subject, actor, outcome from audit where action = 'signer.refused' order by id`);

/** Refused with this reason, audited and alarmed; the keys were not touched. */
async function expectRefusal(request: SignRequest, why: RegExp): Promise<void> {
  const before = await refused();
  let touched = 0;
  const counting = guarded({
    sign: (one) => (touched++, keys.sign(one)),
    createKey: (type) => keys.createKey(type),
  });
  lines.length = 0;
  await expect(counting.sign(request)).rejects.toMatchObject({
    code: 'signerRefused',
    detail: expect.stringMatching(why),
  });
  expect(touched).toBe(0);
  const after = await refused();
  expect(after.length).toBe(before.length + 1);
  expect(after.at(-1)).toMatchObject({ actor: 'system:signer', outcome: 'refused' });
  expect(lines.join('')).toContain('ALARM: the signer was asked for what was not recorded');
}

/** An enrollment cut off after its intent was committed. */
async function openIntent(): Promise<TestDevice & { row: CertificateRow }> {
  const made = await makeDevice(db);
  const gone = () => Promise.reject(new AuthorityError('unavailable', 'gone', { retryAfter: 1 }));
  const cut = { ...est, signer: { sign: gone, createKey: gone } };
  await expect(enrollOverEst(cut, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'unavailable' });
  return { ...made, row: await rowOf(made.device.id) };
}

async function rowOf(deviceId: string): Promise<CertificateRow> {
  const [found] = await db.sql<{ serial: Buffer }>(
    `select serial from certificates where device_id = $1 order by created_at desc limit 1`,
    [deviceId],
  );
  return (await worker.database.transaction((tx) => findCertificate(tx, found!.serial)))!;
}

const rowBy = (serial: Buffer) => worker.database.transaction((tx) => findCertificate(tx, serial));

const requestOf = (row: CertificateRow, change: Partial<SignRequest> = {}): SignRequest => ({
  purpose: 'certificate',
  keyId: requireKey(issuing),
  subject: { intentId: row.serial.toString('hex') },
  message: row.tbs,
  ...change,
});

describe('a signer of its own signs a certificate', () => {
  test('that was recorded, and a whole enrollment through it', async () => {
    const made = await makeDevice(db);
    expect(await enrollOverEst({ ...est, signer }, enrollRequest(made, newKey()))).toMatchObject({
      certificate: expect.any(Buffer),
    });
    const { row } = await openIntent();
    expect(await signer.sign(requestOf(row))).toBeInstanceOf(Buffer);
  });

  test('and no other bytes than the recorded ones, were it by one bit', async () => {
    const { row } = await openIntent();
    const other = Buffer.from(row.tbs);
    other[other.length - 1]! ^= 1;
    await expectRefusal(requestOf(row, { message: other }), /not what was recorded/);
    await expectRefusal(requestOf(row, { message: Buffer.alloc(0) }), /not what was recorded/);
  });

  test('and a flood of refusals becomes twenty audit entries a minute and their number', async () => {
    let now = 0;
    const flooded = new GuardedSigner(keys, { ...context, clock: { ...db.clock, monotonicMs: () => now } });
    const { row } = await openIntent();
    const ask = async (): Promise<void> => {
      await expect(flooded.sign(requestOf(row, { message: Buffer.alloc(0) }))).rejects.toMatchObject({
        code: 'signerRefused',
      });
    };
    const before = (await refused()).length;
    for (let n = 0; n < 60; n++) await ask();
    expect((await refused()).length).toBe(before + 20);
    now = 60_000;
    await ask();
    const after = (await refused()).slice(before);
    expect(after).toHaveLength(22);
    expect(after.at(20)).toMatchObject({ subject: 'signer:refusals', outcome: 'refused' });
    const [counted] = await db.sql<{ count: number }>(
      `select (convert_from(canonical, 'UTF8')::jsonb -> 'detail' ->> 'count')::int as count from audit
       where subject = 'signer:refusals'`,
    );
    expect(counted).toEqual({ count: 40 });
  });

  test('and nothing that was never recorded', async () => {
    const { row } = await openIntent();
    await expectRefusal(requestOf(row, { subject: { intentId: '01'.repeat(17) } }), /nothing was recorded/);
    await expectRefusal(requestOf(row, { subject: { intentId: '../..' } }), /names no serial/);
    await expectRefusal(
      requestOf(row, { subject: { artifactId: 'crl/x.crl' } }),
      /recorded certificates, CRLs and requests/,
    );
  });

  test('and not under the key of another issuer', async () => {
    const { row } = await openIntent();
    const root = await est.issuers.root();
    await expectRefusal(requestOf(row, { keyId: requireKey(root) }), /not the one of the issuer/);
  });

  test('and no row that was planted or altered by whoever can write to the database', async () => {
    const { row } = await openIntent();
    const other = Buffer.from(row.tbs);
    other[40]! ^= 1;
    await db.tamper(`update certificates set tbs = $1 where serial = $2`, [other, row.serial]);
    await expectRefusal(requestOf(row, { message: other }), /not written by this authority/);
    await db.tamper(`update certificates set tbs = $1, requester = 'issuer:x' where serial = $2`, [
      row.tbs,
      row.serial,
    ]);
    await expectRefusal(requestOf(row), /not written by this authority/);
  });

  test('and not for an issuer that nobody announced', async () => {
    const { row } = await openIntent();
    const [planted] = await db.sql<{ id: string }>(
      `insert into issuers (id, kind, parent_id, name, ca_key_id, subject_der, spki, certificate, status_url, shards, not_after)
       select gen_random_uuid(), kind, parent_id, 'planted', ca_key_id, subject_der, spki, certificate, status_url, shards, not_after
       from issuers where id = $1 returning id`,
      [issuing.id],
    );
    await db.tamper(`update certificates set issuer_id = $1 where serial = $2`, [planted!.id, row.serial]);
    await expectRefusal(requestOf(row), /not written by this authority/);
  });

  test('and no certificate of a CA for a key that no CA was recorded with', async () => {
    const root = await est.issuers.root();
    const intent = prepareIntent(est, {
      profile: currentProfile(est, 'issuing-ca'),
      issuer: root,
      subject: [[{ type: OID.commonName, value: 'My own CA' }]],
      san: [],
      publicKey: readPublicKey(newKey().spki),
      ...{ deviceId: null, appId: null, releaseId: null, secretId: null, requestLabel: '', ownerOrgId: null },
      requester: 'system:est',
      issuerOrgId: est.authorityId,
    });
    // What a plane that was taken over can do: its role, its MAC key, a profile that exists.
    const row = await recordOwnIntent(est, systemActor(est, 'taken over'), intent);
    await expectRefusal(requestOf((await rowBy(row.serial))!, { keyId: requireKey(root) }), /no CA was recorded/);
  });

  test('and no link to a CA of somebody else that was recorded and that nobody approved', async () => {
    const [api, root] = [await db.context('api'), await est.issuers.root()];
    const says = {
      subject: [[{ type: OID.commonName, value: 'Customer CA' }]],
      publicKey: readPublicKey(newKey().spki),
      pathLen: 0,
    };
    const named = { id: randomUUID(), form: 'subCa', subjectIssuerId: null, name: 'Customer CA' } as const;
    const link = prepareLink(api, root, named, says);
    await api.database.transaction((tx) => recordLink(tx, api, db.operator, link), scopeOf(api, db.operator));
    const row = (await rowBy(link.intent.row.serial))!;
    await expectRefusal(requestOf(row, { keyId: requireKey(root) }), /nobody approved it/);
  });

  test('and not once it was abandoned, which is nobody’s fault', async () => {
    const { row } = await openIntent();
    await db.sql(`update serials set state = 'abandoned' where serial = $1`, [row.serial]);
    const before = await refused();
    await expect(signer.sign(requestOf(row))).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await refused()).toHaveLength(before.length);
  });

  test('and believes no MAC but that of the status log', async () => {
    const { row } = await openIntent();
    const stranger = new GuardedSigner(keys, { ...context, macKey: createSecretKey(randomBytes(32)) });
    await expect(stranger.sign(requestOf(row))).rejects.toMatchObject({ code: 'signerRefused' });
  });
});

describe('a signer of its own signs a CRL', () => {
  const name = () => crlName(issuing.id, 'full');
  const nextNumber = () => worker.database.transaction((tx) => nextCrlNumber(tx, issuing.id, 'full'));

  function tbsOf(number: number, change: Partial<CrlTemplateHead> = {}): Buffer {
    const thisUpdate = wholeSecond(db.clock.now());
    const { keyId, keyType } = issuing.publicKey;
    const writer = new CrlTbsWriter({
      issuer: { subjectDer: issuing.subjectDer, keyId, keyType },
      number: BigInt(number),
      thisUpdate,
      nextUpdate: addSeconds(thisUpdate, db.lifetimes.crlNextUpdate),
      distributionPoint: undefined,
      ...change,
    });
    return writer.finish();
  }
  const crl = (message: Buffer, change: Partial<SignRequest> = {}): SignRequest => ({
    purpose: 'crl',
    keyId: requireKey(issuing),
    subject: { artifactId: name() },
    message,
    ...change,
  });

  test('of the next number', async () => {
    expect(await signer.sign(crl(tbsOf(await nextNumber())))).toBeInstanceOf(Buffer);
  });

  test('and no second one of the same number; the same one again', async () => {
    const number = await nextNumber();
    const first = tbsOf(number);
    const one = guarded(keys);
    await one.sign(crl(first));
    await one.sign(crl(first));
    const other = tbsOf(number, { thisUpdate: addSeconds(wholeSecond(db.clock.now()), -5) });
    await expect(one.sign(crl(other))).rejects.toMatchObject({ code: 'signerRefused' });
  });

  test('and none of a number that was never given out', async () => {
    await expectRefusal(crl(tbsOf((await nextNumber()) + 1)), /never given out/);
  });

  test('and none that would follow one of a higher number: whoever was slower makes another', async () => {
    const [early, late] = [await nextNumber(), await nextNumber()];
    await signer.sign(crl(tbsOf(late)));
    await expect(signer.sign(crl(tbsOf(early)))).rejects.toMatchObject({ kind: 'unavailable' });
  });

  test.each<[string, () => Promise<SignRequest>, RegExp]>([
    [
      'under another key',
      async () => crl(tbsOf(await nextNumber()), { keyId: requireKey(await est.issuers.root()) }),
      /key/,
    ],
    [
      'of an unknown name',
      async () => crl(tbsOf(await nextNumber()), { subject: { artifactId: 'crl/other.crl' } }),
      /no issuer/,
    ],
    ['that is a certificate', async () => crl((await openIntent()).row.tbs), /no CRL/],
    ['that is nothing', async () => crl(Buffer.from('nothing')), /no CRL/],
    [
      'of another issuer',
      async () => {
        const root = await est.issuers.root();
        const { keyId } = issuing.publicKey;
        const issuer = { subjectDer: root.subjectDer, keyId, keyType: issuing.publicKey.keyType };
        return crl(tbsOf(await nextNumber(), { issuer }));
      },
      /another issuer/,
    ],
    [
      'for another place',
      async () => crl(tbsOf(await nextNumber(), { distributionPoint: 'http://elsewhere.example/x.crl' })),
      /distribution point/,
    ],
    [
      'of tomorrow',
      async () => crl(tbsOf(await nextNumber(), { thisUpdate: addSeconds(wholeSecond(db.clock.now()), 86_400) })),
      /not now/,
    ],
    [
      'that would stand for years',
      async () =>
        crl(tbsOf(await nextNumber(), { nextUpdate: addSeconds(wholeSecond(db.clock.now()), 86_400 * 4000) })),
      /later than any/,
    ],
  ])('and none %s', async (_, make, why) => {
    await expectRefusal(await make(), why);
  });
});

describe('a signer of its own makes keys', () => {
  test('but not any number that no CA needs', async () => {
    const [{ n } = { n: 0 }] = await db.sql<{ n: number }>(
      `select count(*)::int as n from ca_keys k where not exists (select 1 from issuers where ca_key_id = k.id)`,
    );
    for (let made = n; made < 20; made++) await signer.createKey('ec-p256');
    await expect(signer.createKey('ec-p256')).rejects.toMatchObject({ kind: 'limited', code: 'tooMany' });
    const rows = await db.sql(`select 1 from audit where action = 'caKey.created'`);
    expect(rows).toHaveLength(20 - n);
  });
});
