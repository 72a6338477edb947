import { generateKeyPairSync, sign as signWithKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  certificateStatus,
  reconcileIntents,
  revokeCertificate,
  revokeDevice,
  suspendDevice,
  type AuthorityContext,
} from '#authority';
import { AuthorityError } from '#kernel';
import { readCertificate, verifyBytes } from '#pki';
import type { Signer, SignRequest } from '#signing';
import { intentRowMac } from '#status';
import { blockKey, findCertificate, latestStatus, type CertificateRow } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import {
  type Product,
  type TestDevice,
  enroll,
  enrollRequest,
  makeDevice,
  makeEnrolled,
  makeProduct,
  renewRequest,
} from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  worker = await db.context('worker');
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

/** A signer that does with a signature what the spec says, and remembers what it was asked. */
class OddSigner implements Signer {
  readonly asked: SignRequest[] = [];

  constructor(
    private readonly inner: Signer,
    private readonly answer: (signature: Buffer, request: SignRequest) => Buffer | Promise<Buffer>,
  ) {}

  async sign(request: SignRequest): Promise<Buffer> {
    this.asked.push(request);
    return this.answer(await this.inner.sign(request), request);
  }

  createKey: Signer['createKey'] = (keyType) => this.inner.createKey(keyType);
}

const gone = (): never => {
  throw new AuthorityError('unavailable', 'the signer is gone', { retryAfter: 1 });
};

/** An enrollment that was cut off between intent and signature. */
async function openIntent(): Promise<TestDevice & { key: ReturnType<typeof newKey>; row: CertificateRow }> {
  const made = await makeDevice(db, product);
  const key = newKey();
  const cut = { ...est, signer: new OddSigner(est.signer, gone) };
  await expect(enroll(cut, enrollRequest(made, key))).rejects.toMatchObject({ kind: 'unavailable' });
  return { ...made, key, row: await rowOf(made.device.id) };
}

async function rowOf(deviceId: string): Promise<CertificateRow> {
  const [found] = await db.sql<{ serial: Buffer }>(`select serial from certificates where device_id = $1`, [deviceId]);
  return (await worker.database.transaction((tx) => findCertificate(tx, found!.serial)))!;
}

const logOf = (row: CertificateRow) =>
  worker.database.transaction((tx) => latestStatus(tx, 'certificate', row.serial.toString('hex')));
const auditOf = (row: CertificateRow, action: string) =>
  db.sql(`select actor, outcome from audit where action = $1 and subject = $2`, [
    action,
    `certificate:${row.serial.toString('hex')}`,
  ]);

describe('before anything is signed', () => {
  test('serial, exact bytes, requester and audit entry are committed', async () => {
    const { row, device } = await openIntent();
    expect(row).toMatchObject({
      state: 'issuing',
      der: null,
      profile: 'device',
      profileVersion: 1,
      deviceId: device.id,
    });
    expect(await auditOf(row, 'certificate.requested')).toEqual([{ actor: `device:${device.id}`, outcome: 'success' }]);
    await reconcileIntents(worker, 0);
  });

  test('the signer is asked for exactly the stored bytes, with the recorded intent', async () => {
    const made = await makeDevice(db, product);
    let seen: CertificateRow | undefined;
    const signer = new OddSigner(est.signer, async (signature) => {
      seen = await rowOf(made.device.id);
      return signature;
    });
    await enroll({ ...est, signer }, enrollRequest(made, newKey()));
    expect(seen?.state).toBe('issuing');
    expect(signer.asked).toEqual([
      {
        purpose: 'certificate',
        keyId: (await est.issuers.issuing()).caKeyId,
        subject: { intentId: seen!.serial.toString('hex') },
        message: seen!.tbs,
      },
    ]);
  });
});

describe('a signature that is not the right one is never released', () => {
  const { privateKey: wrongKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const faults: [string, (signature: Buffer, request: SignRequest) => Buffer | Promise<Buffer>][] = [
    ['a flipped bit', (signature) => flipped(signature)],
    ['another key', (_, request) => signWithKey('sha256', request.message, wrongKey)],
    [
      'the same key over other bytes',
      async (_, request) => est.signer.sign({ ...request, message: Buffer.from('other') }),
    ],
    ['nothing', () => Buffer.alloc(0)],
    ['garbage', () => Buffer.from('3003020101', 'hex')],
  ];

  test.each(faults)('%s', async (_, answer) => {
    const made = await makeDevice(db, product);
    const odd = { ...est, signer: new OddSigner(est.signer, answer) };
    await expect(enroll(odd, enrollRequest(made, newKey()))).rejects.toMatchObject({
      kind: 'internal',
      code: 'badSignature',
    });
    const row = await rowOf(made.device.id);
    expect(row).toMatchObject({ state: 'issuing', der: null });
    expect(await auditOf(row, 'certificate.issued')).toEqual([]);
    expect(await reconcileIntents({ ...worker, signer: odd.signer }, 0)).toEqual({ signed: 0, abandoned: 0 });
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 1, abandoned: 0 });
  });

  test("two answers in each other's place", async () => {
    const pending: { give: (signature: Buffer) => void; signature: Buffer }[] = [];
    const swap = (signature: Buffer): Promise<Buffer> =>
      new Promise((give) => {
        pending.push({ give, signature });
        if (pending.length === 2) {
          pending[0]!.give(pending[1]!.signature);
          pending[1]!.give(pending[0]!.signature);
        }
      });
    const odd = { ...est, signer: new OddSigner(est.signer, swap) };
    const devices = [await makeDevice(db, product), await makeDevice(db, product)];
    const results = await Promise.allSettled(devices.map((made) => enroll(odd, enrollRequest(made, newKey()))));
    for (const result of results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'badSignature' } });
    for (const made of devices) expect(await rowOf(made.device.id)).toMatchObject({ der: null });
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 2, abandoned: 0 });
  });
});

function flipped(signature: Buffer): Buffer {
  const copy = Buffer.from(signature);
  copy[copy.length - 1]! ^= 1;
  return copy;
}

describe('the reconciler finishes what was cut off', () => {
  test('by signing exactly the stored bytes, and the device gets that certificate', async () => {
    const { row, key, ...made } = await openIntent();
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 1, abandoned: 0 });
    const stored = await rowOf(made.device.id);
    const certificate = readCertificate(stored.der!);
    expect(certificate.tbs).toEqual(row.tbs);
    const issuer = await est.issuers.issuing();
    expect(
      verifyBytes(certificate.signatureAlgorithmDer, issuer.publicKey.keyObject, row.tbs, certificate.signature),
    ).toBe(true);
    expect(await enroll(est, enrollRequest(made, key))).toEqual(stored.der);
    expect(await auditOf(row, 'certificate.issued')).toEqual([{ actor: 'system:worker', outcome: 'success' }]);
  });

  test('of a renewal too, and marks the certificate that it renews', async () => {
    const made = await makeEnrolled(db, product);
    const key = newKey();
    const cut = { ...est, signer: new OddSigner(est.signer, gone) };
    await expect(enroll(cut, renewRequest(made.device, made.certificate, key))).rejects.toMatchObject({
      kind: 'unavailable',
    });
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 1, abandoned: 0 });
    const next = await enroll(est, renewRequest(made.device, made.certificate, key));
    const [old] = await db.sql<{ by: string }>(
      `select encode(superseded_by, 'hex') as by from certificates where serial = decode($1, 'hex')`,
      [readCertificate(made.certificate).serial],
    );
    expect(old?.by).toBe(readCertificate(next).serial);
  });

  test('leaves those alone that are still being worked on', async () => {
    const { row } = await openIntent();
    expect(await reconcileIntents(worker, 30)).toEqual({ signed: 0, abandoned: 0 });
    expect(await rowOf(row.deviceId!)).toMatchObject({ state: 'issuing' });
    await reconcileIntents(worker, 0);
  });

  test('run by several at once signs once', async () => {
    const { row } = await openIntent();
    await Promise.all(Array.from({ length: 4 }, () => reconcileIntents(worker, 0)));
    expect(await rowOf(row.deviceId!)).toMatchObject({ state: 'issued' });
    expect(await auditOf(row, 'certificate.issued')).toHaveLength(1);
  });

  test('again when the signer is back', async () => {
    const { row } = await openIntent();
    const cut = { ...worker, signer: new OddSigner(worker.signer, gone) };
    expect(await reconcileIntents(cut, 0)).toEqual({ signed: 0, abandoned: 0 });
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 1, abandoned: 0 });
    expect(await rowOf(row.deviceId!)).toMatchObject({ state: 'issued' });
  });
});

/** The bytes of clientAuth become those of serverAuth. */
const ANOTHER_USE = `update certificates
  set tbs = decode(replace(encode(tbs, 'hex'), '2b06010505070302', '2b06010505070301'), 'hex') where serial = $1`;

/** What an authority of another release would have written: with a MAC that fits. */
async function reseal(serial: Buffer): Promise<void> {
  const row = await worker.database.transaction((tx) => findCertificate(tx, serial));
  await db.tamper(`update certificates set mac = $2 where serial = $1`, [serial, intentRowMac(db.macKey, row!)]);
}

describe('the reconciler abandons what may not be signed any more', () => {
  const against: [string, (open: Awaited<ReturnType<typeof openIntent>>) => Promise<unknown>, RegExp][] = [
    [
      'older than 10 minutes',
      (open) =>
        db.sql(`update certificates set created_at = created_at - interval '601 seconds' where serial = $1`, [
          open.row.serial,
        ]),
      /older/,
    ],
    [
      'of a revoked device',
      (open) => revokeDevice(api, db.operator, open.device.id, { reason: 'superseded' }),
      /its device/,
    ],
    ['of a suspended device', (open) => suspendDevice(api, db.operator, open.device.id), /its device/],
    [
      'of a device that the log alone says is revoked',
      async (open) => {
        await revokeDevice(api, db.operator, open.device.id, { reason: 'superseded' });
        await db.tamper(`update devices set status = 'registered' where id = $1`, [open.device.id]);
      },
      /its device/,
    ],
    [
      'for a blocked key',
      (open) => api.database.transaction((tx) => blockKey(tx, open.row.spkiSha256, 'keyCompromise')),
      /key is blocked/,
    ],
    [
      'of an older profile',
      async (open) => {
        await db.tamper(`update certificates set profile_version = 0 where serial = $1`, [open.row.serial]);
        await reseal(open.row.serial);
      },
      /profile/,
    ],
    [
      'with bytes that say another use now',
      async (open) => {
        await db.tamper(ANOTHER_USE, [open.row.serial]);
        await reseal(open.row.serial);
      },
      /lint/,
    ],
    [
      'that somebody with SQL access alone has written or changed',
      (open) => db.tamper(`update certificates set requester = 'system:nobody' where serial = $1`, [open.row.serial]),
      /not written by this authority/,
    ],
    [
      'revoked already',
      (open) => revokeCertificate(api, db.operator, open.row.serial.toString('hex'), { reason: 'superseded' }),
      /revoked already/,
    ],
  ];

  test.each(against)('%s: its serial counts as issued and revoked', async (_, happen, why) => {
    const open = await openIntent();
    await happen(open);
    const outcome = await reconcileIntents(worker, 0);
    expect(outcome).toEqual({ signed: 0, abandoned: 1 });
    const row = await rowOf(open.device.id);
    expect(row).toMatchObject({ state: 'abandoned', der: null });
    const log = await logOf(row);
    expect(log?.status).toBe('revoked');
    const entries = await db.sql<{ text: string }>(
      `select convert_from(canonical, 'UTF8') as text from audit where action = 'certificate.abandoned' and subject = $1`,
      [`certificate:${row.serial.toString('hex')}`],
    );
    expect(entries).toEqual([{ text: expect.stringMatching(why) }]);
    await worker.follower.catchUp(log!.seq);
    expect(certificateStatus(worker, row).status).toBe('revoked');
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 0, abandoned: 0 });
  });

  test('in one transaction with the row of the log: one fails with the other', async () => {
    const open = await openIntent();
    await db.sql(`update certificates set created_at = created_at - interval '601 seconds' where serial = $1`, [
      open.row.serial,
    ]);
    await db.sql(`revoke insert on status_changes from tm_worker`);
    try {
      expect(await reconcileIntents(worker, 0)).toEqual({ signed: 0, abandoned: 0 });
      expect(await rowOf(open.device.id)).toMatchObject({ state: 'issuing' });
      expect(await logOf(open.row)).toBeUndefined();
    } finally {
      await db.sql(`grant insert on status_changes to tm_worker`);
    }
    expect(await reconcileIntents(worker, 0)).toEqual({ signed: 0, abandoned: 1 });
  });

  test('and a signature that comes late for it is not stored', async () => {
    const made = await makeDevice(db, product);
    const late = new OddSigner(est.signer, async (signature) => {
      await db.sql(`update certificates set created_at = created_at - interval '601 seconds' where device_id = $1`, [
        made.device.id,
      ]);
      await reconcileIntents(worker, 0);
      return signature;
    });
    await expect(enroll({ ...est, signer: late }, enrollRequest(made, newKey()))).rejects.toMatchObject({
      kind: 'unavailable',
    });
    expect(await rowOf(made.device.id)).toMatchObject({ state: 'abandoned', der: null });
  });
});
