import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  allowLateRenewal,
  changeDevice,
  reconcileIntents,
  revokeCertificate,
  revokeDevice,
  revokeSuperseded,
  suspendDevice,
  type AuthorityContext,
  type EstRequest,
} from '#authority';
import { AuthorityError, loadConfig, ManualClock } from '#kernel';
import { readCertificate } from '#pki';
import { profiles, shippedLabel } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, makeEnrolled, makeProduct, renewRequest, type Product } from '../harness/fixtures.js';
import { makePerson } from '../harness/people.js';
import { withProfile } from '../harness/with-profile.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const DAY = 86_400;

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let product: Product;
let clock: ManualClock;
beforeAll(async () => {
  clock = new ManualClock(new Date());
  db = await startTestDatabase({ clock });
  [api, est, worker] = [await db.context('api'), await db.context('est'), await db.context('worker')];
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

async function jump(ms: number): Promise<void> {
  clock.advance(ms);
  for (const one of [est, api, worker]) {
    while (!fresh(one)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
function fresh(one: AuthorityContext): boolean {
  try {
    one.follower.assertFresh(1000);
    return true;
  } catch {
    return false;
  }
}

const serialOf = (certificate: Buffer): string => readCertificate(certificate).serial;
const refusal = (a: AuthorityContext, request: EstRequest): Promise<AuthorityError> =>
  enroll(a, request).then(
    () => {
      throw new Error('accepted');
    },
    (error: AuthorityError) => error,
  );
const statusOf = (certificate: Buffer) =>
  db.sql<{ status: string; reason: string }>(
    `select status, reason from status_changes where kind = 'certificate' and subject = $1 order by seq`,
    [serialOf(certificate)],
  );
const auditsOf = (subject: string, action: string) =>
  db.sql(`select actor from audit where subject = $1 and action = $2`, [subject, action]);

describe('a profile that revokes at once what was renewed', () => {
  let strict: AuthorityContext;
  beforeAll(() => {
    strict = withProfile(est, { supersede: { mode: 'at-once' } });
  });

  test('does so in the transaction that stores the new one, and tells that it did', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const next = await enroll(strict, renewRequest(device, certificate, newKey()));
    expect(await statusOf(certificate)).toEqual([{ status: 'revoked', reason: 'superseded' }]);
    expect(await statusOf(next)).toEqual([]);
    expect(await auditsOf(`certificate:${serialOf(certificate)}`, 'certificate.revoked')).toEqual([
      { actor: `device:${device.id}` },
    ]);
    const [together] = await db.sql<{ together: boolean }>(
      `select c.xmin = l.xmin as together from certificates c, status_changes l
       where c.serial = decode($1, 'hex') and l.subject = $2`,
      [serialOf(next), serialOf(certificate)],
    );
    expect(together).toEqual({ together: true });
    await enroll(strict, renewRequest(device, next, newKey()));
  });

  test('answers a repeated request once more, although its certificate is revoked by now (E91)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const next = await enroll(strict, renewRequest(device, certificate, key));
    expect(await enroll(strict, renewRequest(device, certificate, key))).toEqual(next);
    // Also where this process never saw the certificate while it was good.
    expect(await enroll({ ...strict }, renewRequest(device, certificate, key))).toEqual(next);
  });

  test('gives nothing new for the old one: another key is refused', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await enroll(strict, renewRequest(device, certificate, newKey()));
    expect(await refusal(strict, renewRequest(device, certificate, newKey()))).toMatchObject({
      kind: 'forbidden',
      detail: 'the client certificate is revoked',
    });
  });

  test('gives nothing again once the new one is revoked, or the old one for another reason', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const next = await enroll(strict, renewRequest(device, certificate, key));
    await revokeCertificate(api, db.operator, serialOf(next), { reason: 'cessationOfOperation' });
    expect(await refusal(strict, renewRequest(device, certificate, key))).toMatchObject({ kind: 'forbidden' });
    const other = await makeEnrolled(db, product);
    const otherKey = newKey();
    await enroll(strict, renewRequest(other.device, other.certificate, otherKey));
    const { seq } = await revokeCertificate(api, db.operator, serialOf(other.certificate), { reason: 'keyCompromise' });
    await est.follower.catchUp(seq);
    expect(await refusal(strict, renewRequest(other.device, other.certificate, otherKey))).toMatchObject({
      kind: 'forbidden',
    });
  });

  test('sent by several at once gives one certificate, and one row in the log (Q05)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const all = await Promise.all(
      Array.from({ length: 6 }, () => enroll(strict, renewRequest(device, certificate, key))),
    );
    expect(new Set(all.map(serialOf)).size).toBe(1);
    expect(await statusOf(certificate)).toHaveLength(1);
  });

  test('does so too where the reconciler ends what a crash left', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const signer = { sign: () => Promise.reject(new AuthorityError('unavailable', 'no signer')) } as never;
    await refusal({ ...strict, signer }, renewRequest(device, certificate, newKey()));
    expect(await statusOf(certificate)).toEqual([]);
    const reconciling = withProfile(worker, { supersede: { mode: 'at-once' } });
    expect(await reconcileIntents(reconciling, 0)).toMatchObject({ signed: 1 });
    expect(await statusOf(certificate)).toEqual([{ status: 'revoked', reason: 'superseded' }]);
  });

  test.each(['device', 'certificate'] as const)(
    'while the %s is revoked at the same time: in the end nothing is good (Q05)',
    async (what) => {
      const { device, certificate } = await makeEnrolled(db, product);
      const renewing = enroll(strict, renewRequest(device, certificate, newKey())).catch(() => undefined);
      const revoking =
        what === 'device'
          ? revokeDevice(api, db.operator, device.id, { reason: 'cessationOfOperation' })
          : revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
      const [next] = await Promise.all([renewing, revoking]);
      await reconcileIntents(withProfile(worker, { supersede: { mode: 'at-once' } }), 0);
      expect((await statusOf(certificate)).at(-1)).toMatchObject({ status: 'revoked' });
      if (next && what === 'device') expect((await statusOf(next)).at(-1)).toMatchObject({ status: 'revoked' });
      const open = await db.sql(
        `select 1 from certificates join serials using (serial) where device_id = $1 and state = 'issuing'`,
        [device.id],
      );
      expect(open).toEqual([]);
    },
  );

  test('cannot be used to write anything else to the log, with all rights of the plane', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const database = await db.as('est');
    const write = (kind: string, status: string, reason: string | null) =>
      database.transaction((tx) =>
        tx.run(
          `insert into status_changes (seq, kind, subject, status, reason, at, mac)
           values (999999, $1, $2, $3, $4, now(), '\\x00')`,
          [kind, serialOf(certificate), status, reason],
        ),
      );
    for (const [kind, status, reason] of [
      ['certificate', 'active', null],
      ['role', 'granted', 'superseded'],
      ['device', 'revoked', 'superseded'],
    ] as const) {
      await expect(write(kind, status, reason)).rejects.toMatchObject({ kind: 'internal' });
    }
  });
});

// These move the clock for good, and therefore come last.
describe('a profile that revokes some time after', () => {
  test('leaves both good until then; the worker ends the old one, once', async () => {
    const later = withProfile(est, { supersede: { mode: 'after', seconds: 3600 } });
    const { device, certificate } = await makeEnrolled(db, product);
    const next = await enroll(later, renewRequest(device, certificate, newKey()));
    await enroll(later, renewRequest(device, certificate, newKey()));
    expect(await revokeSuperseded(worker)).toBe(0);
    await jump(61 * MINUTE_MS);
    expect(await revokeSuperseded(worker)).toBe(1);
    expect(await revokeSuperseded(worker)).toBe(0);
    expect(await statusOf(certificate)).toEqual([{ status: 'revoked', reason: 'superseded' }]);
    expect(await statusOf(next)).toEqual([]);
  });

  test('ends nothing that only a row says is to end', async () => {
    const one = await makeEnrolled(db, product);
    const two = await makeEnrolled(db, product);
    await db.sql(
      `insert into supersessions (serial, successor, due_at) values (decode($1, 'hex'), decode($2, 'hex'), $3)`,
      [serialOf(one.certificate), serialOf(two.certificate), clock.now()],
    );
    expect(await revokeSuperseded(worker)).toBe(0);
    expect(await statusOf(one.certificate)).toEqual([]);
  });
});

describe('a certificate that has ended', () => {
  const ended = async (ms = 91 * DAY_MS) => {
    const made = await makeEnrolled(db, product);
    await jump(ms);
    return made;
  };

  test('that is not yet valid is refused first of all, whatever is allowed', async () => {
    await jump(DAY_MS);
    const made = await makeEnrolled(db, product);
    await allowLateRenewal(api, db.operator, made.device.id, { days: 30 });
    const before = new ManualClock(new Date(readCertificate(made.certificate).notBefore.getTime() - MINUTE_MS));
    const early = withProfile({ ...est, clock: before }, { renewal: { sameKey: true, afterExpirySeconds: 400 * DAY } });
    early.follower.assertFresh = () => undefined;
    expect(await refusal(early, renewRequest(made.device, made.certificate, newKey()))).toMatchObject({
      kind: 'forbidden',
      detail: expect.stringMatching(/not yet valid/),
    });
  });

  test('renews nothing, and the text says what to do (EX15)', async () => {
    const { device, certificate } = await ended();
    expect(await refusal(est, renewRequest(device, certificate, newKey()))).toMatchObject({
      kind: 'forbidden',
      code: 'certificateExpired',
      detail: expect.stringMatching(/expired; an officer can allow the device one late renewal/),
    });
  });

  test('renews within the window of its profile, and not after it', async () => {
    const { device, certificate } = await ended();
    const lenient = withProfile(est, { renewal: { sameKey: true, afterExpirySeconds: 7 * DAY } });
    await enroll(lenient, renewRequest(device, certificate, newKey()));
    await jump(7 * DAY_MS);
    expect(await refusal(lenient, renewRequest(device, certificate, newKey()))).toMatchObject({
      code: 'certificateExpired',
    });
  });

  test('renews once where an officer allows it, and the same request gets the same certificate (E91)', async () => {
    const { device, certificate } = await ended();
    const { expiresAt } = await allowLateRenewal(api, db.operator, device.id, { days: 2 });
    expect(expiresAt.getTime()).toBe(clock.now().getTime() + 2 * DAY_MS);
    const key = newKey();
    const next = await enroll(est, renewRequest(device, certificate, key));
    // The database has a clock of its own.
    await db.tamper(`update certificates set created_at = $2 where serial = decode($1, 'hex')`, [
      serialOf(next),
      clock.now(),
    ]);
    expect(await enroll(est, renewRequest(device, certificate, key))).toEqual(next);
    expect(await refusal(est, renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
    expect(await auditsOf(`device:${device.id}`, 'device.lateRenewalAllowed')).toHaveLength(1);
    expect(await auditsOf(`device:${device.id}`, 'device.lateRenewalUsed')).toHaveLength(1);
    await enroll(est, renewRequest(device, next, newKey()));
  });

  test('two at once with one leave: one certificate', async () => {
    const { device, certificate } = await ended();
    await allowLateRenewal(api, db.operator, device.id, { days: 2 });
    const all = await Promise.allSettled(
      Array.from({ length: 4 }, () => enroll(est, renewRequest(device, certificate, newKey()))),
    );
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('keeps its leave where the certificate was abandoned before it was signed', async () => {
    const { device, certificate } = await ended();
    await allowLateRenewal(api, db.operator, device.id, { days: 2 });
    const signer = { sign: () => Promise.reject(new AuthorityError('unavailable', 'no signer')) } as never;
    await refusal({ ...est, signer }, renewRequest(device, certificate, newKey()));
    await jump(11 * MINUTE_MS);
    await db.tamper(`update certificates set created_at = created_at - interval '1 day' where der is null`);
    expect(await reconcileIntents(worker, 0)).toMatchObject({ abandoned: 1 });
    await enroll(est, renewRequest(device, certificate, newKey()));
  });

  test('renews nothing when the leave has ended, is of another device, or was written by somebody else', async () => {
    const { device, certificate } = await ended();
    const other = await makeEnrolled(db, product);
    await allowLateRenewal(api, db.operator, other.device.id, { days: 1 });
    expect(await refusal(est, renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
    await db.tamper(`update late_renewals set device_id = $1 where device_id = $2`, [device.id, other.device.id]);
    expect(await refusal(est, renewRequest(device, certificate, newKey()))).toMatchObject({ code: 'rowMac' });
    await db.tamper(`delete from late_renewals`);
    await allowLateRenewal(api, db.operator, device.id, { days: 1 });
    await jump(DAY_MS + 1000);
    expect(await refusal(est, renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
  });

  test('and whose key was stolen is revoked with everything that it led to, over links that have ended too (C15)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await jump(80 * DAY_MS);
    const second = await enroll(est, renewRequest(device, certificate, newKey()));
    await jump(80 * DAY_MS);
    const third = await enroll(est, renewRequest(device, second, newKey()));
    await jump(20 * DAY_MS);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
    expect(await statusOf(third)).toMatchObject([{ status: 'revoked', reason: 'keyCompromise' }]);
    expect(await statusOf(second)).toEqual([]);
  });

  test('is no way into another profile, which its device was given since', async () => {
    const { device, certificate } = await ended();
    await changeDevice(api, db.operator, device.id, { profile: 'ra' });
    const [last] = await db.sql<{ seq: string }>(`select max(seq) as seq from status_changes`);
    await est.follower.catchUp(Number(last!.seq));
    await allowLateRenewal(api, db.operator, device.id, { days: 2 });
    const label = shippedLabel(profiles(loadConfig({}).lifetimes).ra);
    expect(await refusal(est, renewRequest(device, certificate, newKey(), { label }))).toMatchObject({
      kind: 'forbidden',
      detail: expect.stringMatching(/another profile/),
    });
  });

  test('renews once, although the plane est would have it otherwise with all its rights', async () => {
    const { device, certificate } = await ended();
    await allowLateRenewal(api, db.operator, device.id, { days: 2 });
    await enroll(est, renewRequest(device, certificate, newKey()));
    const plane = await db.as('est');
    for (const serial of ['null', `'\\x01'`]) {
      await expect(
        plane.transaction((tx) =>
          tx.run(`update late_renewals set serial = ${serial} where device_id = $1`, [device.id]),
        ),
      ).rejects.toMatchObject({ kind: 'internal' });
    }
  });

  test('renews nothing when it was revoked or held, whatever is allowed; nor does a revoked or suspended device', async () => {
    const lenient = withProfile(est, { renewal: { sameKey: true, afterExpirySeconds: 400 * DAY } });
    for (const reason of ['superseded', 'certificateHold'] as const) {
      const { device, certificate } = await makeEnrolled(db, product);
      await revokeCertificate(api, db.operator, serialOf(certificate), { reason });
      await allowLateRenewal(api, db.operator, device.id, { days: 30 });
      await jump(91 * DAY_MS);
      await allowLateRenewal(api, db.operator, device.id, { days: 30 });
      expect(await refusal(lenient, renewRequest(device, certificate, newKey()))).toMatchObject({
        kind: 'forbidden',
        detail: 'the client certificate is revoked',
      });
    }
    for (const end of [
      (id: string) => suspendDevice(api, db.operator, id),
      (id: string) => revokeDevice(api, db.operator, id, { reason: 'superseded' }),
    ]) {
      const { device, certificate } = await ended();
      await allowLateRenewal(api, db.operator, device.id, { days: 30 });
      const { seq } = await end(device.id);
      await est.follower.catchUp(seq);
      expect(await refusal(lenient, renewRequest(device, certificate, newKey()))).toMatchObject({ kind: 'forbidden' });
    }
  });

  test('is under a CA that has ended as well: nothing', async () => {
    const { device, certificate } = await ended();
    await allowLateRenewal(api, db.operator, device.id, { days: 30 });
    const issuers = Object.create(est.issuers, {
      list: {
        value: async () =>
          (await est.issuers.list()).map((one) =>
            one.kind === 'issuing' ? { ...one, notAfter: new Date(clock.now().getTime() - 1000) } : one,
          ),
      },
    }) as typeof est.issuers;
    expect(await refusal({ ...est, issuers }, renewRequest(device, certificate, newKey()))).toMatchObject({
      kind: 'forbidden',
    });
    await enroll(est, renewRequest(device, certificate, newKey()));
  });

  test('is allowed for days that can be counted, for devices that are not revoked', async () => {
    const { device } = await makeEnrolled(db, product);
    for (const days of [0, 31, 1.5, -1]) {
      await expect(allowLateRenewal(api, db.operator, device.id, { days })).rejects.toMatchObject({ kind: 'invalid' });
    }
    await revokeDevice(api, db.operator, device.id, { reason: 'superseded' });
    await expect(allowLateRenewal(api, db.operator, device.id, { days: 1 })).rejects.toMatchObject({
      code: 'deviceRevoked',
    });
    const stranger = await makePerson(db, ['officer'], product.vendorId);
    const foreign = (await makeEnrolled(db)).device;
    await expect(allowLateRenewal(api, stranger, foreign.id, { days: 1 })).rejects.toMatchObject({ kind: 'notFound' });
  });
});
