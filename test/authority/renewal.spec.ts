import { generateKeyPairSync, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  renewServerCertificate,
  revokeCertificate,
  suspendDevice,
  type AuthorityContext,
  type EstRequest,
} from '#authority';
import { AuthorityError, ManualClock } from '#kernel';
import { der, readCertificate } from '#pki';
import type { StatusEntry } from '#status';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import {
  type Product,
  enroll,
  enrollRequest,
  makeDevice,
  makeEnrolled,
  makeProduct,
  presents,
  renewRequest,
} from '../harness/fixtures.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let product: Product;
let clock: ManualClock;
beforeAll(async () => {
  clock = new ManualClock(new Date());
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  est = await db.context('est');
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

/** The index is fed by real time; a clock that jumps makes it look old. Waits for the next sync. */
async function jump(ms: number): Promise<void> {
  clock.advance(ms);
  for (;;) {
    try {
      est.follower.assertFresh(1000);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

const serialOf = (certificate: Buffer): string => readCertificate(certificate).serial;
const rowOf = async (certificate: Buffer) =>
  (
    await db.sql<{ superseded_by: Buffer | null; requester: string }>(
      `select superseded_by, requester from certificates where serial = decode($1, 'hex')`,
      [serialOf(certificate)],
    )
  )[0]!;
const refusal = (request: EstRequest): Promise<AuthorityError> =>
  enroll(est, request).then(
    () => {
      throw new Error('accepted');
    },
    (error: AuthorityError) => error,
  );

describe('a renewal', () => {
  test('gives the same names to the new key, and marks the certificate it renews', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const next = await enroll(est, renewRequest(device, certificate, key));
    const [before, after] = [readCertificate(certificate), readCertificate(next)];
    expect(after.subjectDer).toEqual(before.subjectDer);
    expect(after.san).toEqual(before.san);
    expect(after.publicKey.spki).toEqual(key.spki);
    expect(after.serial).not.toBe(before.serial);
    expect((await rowOf(certificate)).superseded_by?.toString('hex')).toBe(after.serial);
    expect((await rowOf(next)).requester).toBe(`certificate:${before.serial}`);
  });

  test('may keep its key', async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    const next = await enroll(est, renewRequest(device, certificate, key));
    expect(readCertificate(next).publicKey.spki).toEqual(key.spki);
    expect(serialOf(next)).not.toBe(serialOf(certificate));
  });

  test('sent by several at once gives one certificate', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const all = await Promise.all(Array.from({ length: 6 }, () => enroll(est, renewRequest(device, certificate, key))));
    expect(new Set(all.map(serialOf)).size).toBe(1);
  });

  test('with a certificate that was renewed already is still possible until that ends', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await enroll(est, renewRequest(device, certificate, newKey()));
    await enroll(est, renewRequest(device, certificate, newKey()));
  });

  test('works down the line: the renewed certificate renews itself', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    let current = certificate;
    for (let i = 0; i < 3; i++) current = await enroll(est, renewRequest(device, current, newKey()));
    expect(readCertificate(current).san).toEqual(readCertificate(certificate).san);
  });
});

describe('a renewal is refused', () => {
  test('without a certificate in the handshake, whatever secret is sent along', async () => {
    const { device, certificate, secret } = await makeEnrolled(db, product);
    const request = renewRequest(device, certificate, newKey(), {
      presented: presents({ basic: { user: device.id, password: secret } }),
    });
    expect(await refusal(request)).toMatchObject({ kind: 'unauthenticated' });
  });

  test('with a revoked certificate', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    expect(await refusal(renewRequest(device, certificate, newKey()))).toMatchObject({
      kind: 'forbidden',
      detail: expect.stringMatching(/revoked/),
    });
  });

  test('with one that was revoked after it was verified once, at once and by the log alone', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await enroll(est, renewRequest(device, certificate, newKey()));
    const { seq } = await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    // Before the index of this plane may have heard of it: the transaction asks the log.
    expect(await refusal(renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
    await est.follower.catchUp(seq);
    expect(await refusal(renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
  });

  describe('whichever of the two says so', () => {
    /** The plane's context with a memory of its own: what `say` returns, or what it really knows. */
    const remembering = (say: (serial: string) => StatusEntry | undefined): AuthorityContext => {
      const index = Object.create(est.follower.index, { certificate: { value: say } }) as typeof est.follower.index;
      return { ...est, follower: { index, catchUp: () => Promise.resolve(), assertFresh: () => undefined } };
    };

    test('memory, about a certificate that was verified before', async () => {
      const { device, certificate } = await makeEnrolled(db, product);
      const entry = { status: 'revoked', reason: null, at: db.clock.now(), invalidityDate: null, seq: 1 };
      let revoked = false;
      const context = remembering(() => (revoked ? entry : undefined));
      await enroll(context, renewRequest(device, certificate, newKey()));
      revoked = true;
      const attempt = enroll(context, renewRequest(device, certificate, newKey()));
      await expect(attempt).rejects.toMatchObject({ kind: 'forbidden' });
    });

    test('the log, before memory has heard of it', async () => {
      const { device, certificate } = await makeEnrolled(db, product);
      const context = remembering(() => undefined);
      await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
      const attempt = enroll(context, renewRequest(device, certificate, newKey()));
      await expect(attempt).rejects.toMatchObject({ kind: 'forbidden' });
    });
  });

  test('with one on hold', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'certificateHold' });
    expect(await refusal(renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
  });

  test('of a suspended device', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await suspendDevice(api, db.operator, device.id);
    expect(await refusal(renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
  });

  test('with a certificate of another authority that names a device of ours', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const forged = forge(certificate);
    expect(readCertificate(forged)).toMatchObject({
      serial: serialOf(certificate),
      san: readCertificate(certificate).san,
    });
    expect(await refusal(renewRequest(device, forged, newKey()))).toMatchObject({ kind: 'forbidden' });
  });

  test('with a certificate of ours that is not a device', async () => {
    const { device } = await makeEnrolled(db, product);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { chain } = await renewServerCertificate(est, { plane: 'est', privateKey, hostnames: ['localhost'] });
    expect(await refusal(renewRequest(device, chain[0]!, newKey()))).toMatchObject({ kind: 'forbidden' });
    expect(await refusal(renewRequest(device, chain[1]!, newKey()))).toMatchObject({ kind: 'forbidden' });
  });

  test('with what is not a certificate', async () => {
    const { device } = await makeEnrolled(db, product);
    for (const bytes of [Buffer.alloc(0), Buffer.from('3000', 'hex'), Buffer.from('garbage')]) {
      expect(await refusal(renewRequest(device, bytes, newKey()))).toMatchObject({ kind: 'forbidden' });
    }
  });

  test('for another device', async () => {
    const one = await makeEnrolled(db, product);
    const two = await makeEnrolled(db, product);
    expect(await refusal(renewRequest(two.device, one.certificate, newKey()))).toMatchObject({ kind: 'malformed' });
  });

  test('for a key that was compromised, of whichever device', async () => {
    const one = await makeEnrolled(db, product);
    const two = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(one.certificate), { reason: 'keyCompromise' });
    expect(await refusal(renewRequest(two.device, two.certificate, one.key))).toMatchObject({
      kind: 'forbidden',
      code: 'keyBlocked',
    });
  });

  test('while the status is older than a minute: nothing is issued then', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const stale = { ...est, follower: { ...est.follower, index: est.follower.index, assertFresh: old } };
    const attempt = enroll(stale, renewRequest(device, certificate, newKey()));
    await expect(attempt).rejects.toMatchObject({ kind: 'unavailable' });
    const made = await makeDevice(db, product);
    await expect(enroll(stale, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'unavailable' });
  });
});

// These move the clock for good, and therefore come last.
describe('time', () => {
  test('repeated within 10 minutes gives the same certificate, after that a new one (E91)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const first = await enroll(est, renewRequest(device, certificate, key));
    await jump(9 * MINUTE_MS);
    expect(await enroll(est, renewRequest(device, certificate, key))).toEqual(first);
    const other = await enroll(est, renewRequest(device, certificate, newKey()));
    expect(serialOf(other)).not.toBe(serialOf(first));
    await jump(2 * MINUTE_MS);
    expect(serialOf(await enroll(est, renewRequest(device, certificate, key)))).not.toBe(serialOf(first));
    // The mark is written once: the first successor stays the successor.
    expect((await rowOf(certificate)).superseded_by?.toString('hex')).toBe(serialOf(first));
  });

  test('with an expired certificate', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await jump(90 * DAY_MS);
    expect(await refusal(renewRequest(device, certificate, newKey()))).toMatchObject({
      kind: 'forbidden',
      detail: expect.stringMatching(/expired/),
    });
  });
});

const old = (): never => {
  throw new AuthorityError('unavailable', 'old');
};

/** The same to-be-signed certificate under a key that is not ours. */
function forge(certificate: Buffer): Buffer {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { tbs, signatureAlgorithmDer } = readCertificate(certificate);
  return der.sequence(tbs, signatureAlgorithmDer, der.bitString(sign('sha256', tbs, privateKey)));
}
