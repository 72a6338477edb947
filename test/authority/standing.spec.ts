import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  certificateStatus,
  deviceStatus,
  releaseCertificate,
  resetDevice,
  resumeDevice,
  revokeCertificate,
  revokeDevice,
  suspendDevice,
  type AuthorityContext,
} from '#authority';
import { addSeconds } from '#kernel';
import { newSerial, readCertificate } from '#pki';
import { findCertificate, findDevice, statusHistory } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import {
  type Product,
  enroll,
  enrollRequest,
  makeDevice,
  makeEnrolled,
  makeProduct,
  renewRequest,
} from '../harness/fixtures.js';
import { plantIntent } from '../store/rows.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

const serialOf = (certificate: Buffer): string => readCertificate(certificate).serial;
const everything = { scope: { organizationId: '00000000-0000-0000-0000-000000000000', authority: true } };
const shown = async (certificate: Buffer | string) => {
  const serial = typeof certificate === 'string' ? certificate : serialOf(certificate);
  const row = await api.database.transaction((tx) => findCertificate(tx, Buffer.from(serial, 'hex')), everything);
  return certificateStatus(api, row!);
};
const shownDevice = async (id: string) =>
  deviceStatus(api, (await api.database.transaction((tx) => findDevice(tx, id), everything))!);
const history = async (certificate: Buffer | string): Promise<{ status: string; reason: string | null }[]> => {
  const serial = typeof certificate === 'string' ? certificate : serialOf(certificate);
  const rows = await api.database.transaction((tx) => statusHistory(tx, 'certificate', serial), everything);
  return rows.map(({ status, reason }) => ({ status, reason }));
};
/** A device with three certificates: of its enrollment and two renewals. */
async function withThree() {
  const made = await makeEnrolled(db, product);
  const second = await enroll(est, renewRequest(made.device, made.certificate, newKey()));
  const third = await enroll(est, renewRequest(made.device, second, newKey()));
  return { ...made, certificates: [made.certificate, second, third] };
}

describe('revoking a certificate', () => {
  test('is seen at once here, and the receipt says by when elsewhere', async () => {
    const { certificate } = await makeEnrolled(db, product);
    expect(await shown(certificate)).toEqual({ status: 'active', reason: null, revokedAt: null });
    const before = db.clock.now();
    const receipt = await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    expect(receipt).toMatchObject({ id: serialOf(certificate), status: 'revoked', seq: expect.any(Number) });
    const { ocsp, crl, introspection } = receipt.visibleBy;
    expect(ocsp!.getTime() - before.getTime()).toBeGreaterThanOrEqual(1000);
    expect(crl!.getTime() - ocsp!.getTime()).toBe(4000);
    expect(introspection).toBeUndefined();
    expect(await shown(certificate)).toMatchObject({ status: 'revoked', reason: 'superseded' });
  });

  test('again with the same reason answers the first receipt', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const first = await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    expect(await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' })).toEqual(first);
    expect(await history(certificate)).toHaveLength(1);
  });

  test('takes the serial with or without leading zeros, in either case, and refuses other spellings as unknown', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const serial = serialOf(certificate);
    await revokeCertificate(api, db.operator, `00${serial.toUpperCase()}`, { reason: 'superseded' });
    await revokeCertificate(api, db.operator, serial.replace(/^0/, ''), { reason: 'superseded' });
    for (const text of ['', '0x01', `${serial}0`, 'z', '0'.repeat(41), `${serial} `]) {
      await expect(revokeCertificate(api, db.operator, text, { reason: 'superseded' })).rejects.toMatchObject({
        kind: 'notFound',
      });
    }
  });

  test('is tightened to keyCompromise with the first date kept, and never otherwise changed', async () => {
    const { certificate } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    const first = (await shown(certificate)).revokedAt;
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
    expect(await shown(certificate)).toEqual({ status: 'revoked', reason: 'keyCompromise', revokedAt: first });
    for (const reason of ['superseded', 'unspecified', 'certificateHold'] as const) {
      await expect(revokeCertificate(api, db.operator, serialOf(certificate), { reason })).rejects.toMatchObject({
        kind: 'conflict',
      });
    }
    await expect(releaseCertificate(api, db.operator, serialOf(certificate))).rejects.toMatchObject({
      kind: 'conflict',
    });
  });

  test('as compromised blocks its key for every device, first enrollment and renewal', async () => {
    const { certificate, key, device } = await makeEnrolled(db, product);
    const other = await makeDevice(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
    const blocked = expect.objectContaining({ kind: 'forbidden', code: 'keyBlocked' });
    await expect(enroll(est, enrollRequest(other, key))).rejects.toEqual(blocked);
    const { enrollment } = await resetDevice(api, db.operator, device.id);
    await expect(enroll(est, enrollRequest({ device, secret: enrollment.secret }, key))).rejects.toEqual(blocked);
    const next = await enroll(est, enrollRequest({ device, secret: enrollment.secret }, newKey()));
    await expect(enroll(est, renewRequest(device, next, key))).rejects.toEqual(blocked);
  });

  test('for another reason does not block its key', async () => {
    const { certificate, key, device } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'superseded' });
    const { enrollment } = await resetDevice(api, db.operator, device.id);
    await enroll(est, enrollRequest({ device, secret: enrollment.secret }, key));
  });

  test('keeps an invalidity date within the life of the certificate', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const { notBefore, serial } = readCertificate(certificate);
    const revoke = (invalidityDate: Date) =>
      revokeCertificate(api, db.operator, serial, { reason: 'keyCompromise', invalidityDate });
    await expect(revoke(addSeconds(notBefore, -1))).rejects.toMatchObject({ member: 'invalidityDate' });
    await expect(revoke(addSeconds(db.clock.now(), 60))).rejects.toMatchObject({ member: 'invalidityDate' });
    await revoke(notBefore);
    expect(api.follower.index.certificate(serial)?.invalidityDate).toEqual(notBefore);
  });

  test('held can be released and held again; released, it can be revoked', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const serial = serialOf(certificate);
    await expect(releaseCertificate(api, db.operator, serial)).rejects.toMatchObject({ kind: 'conflict' });
    await revokeCertificate(api, db.operator, serial, { reason: 'certificateHold' });
    expect(await shown(certificate)).toMatchObject({ status: 'onHold' });
    expect(await releaseCertificate(api, db.operator, serial)).toMatchObject({ status: 'active' });
    expect(await shown(certificate)).toMatchObject({ status: 'active', reason: null });
    await revokeCertificate(api, db.operator, serial, { reason: 'certificateHold' });
    await revokeCertificate(api, db.operator, serial, { reason: 'superseded' });
    expect(await shown(certificate)).toMatchObject({ status: 'revoked', reason: 'superseded' });
  });

  test('is judged by the log: a column changed by hand shows nothing', async () => {
    const { certificate, device } = await makeEnrolled(db, product);
    await revokeDevice(api, db.operator, device.id, { reason: 'superseded' });
    await db.tamper(`update devices set status = 'enrolled' where id = $1`, [device.id]);
    expect(await shownDevice(device.id)).toBe('revoked');
    await expect(enroll(est, renewRequest(device, certificate, newKey()))).rejects.toMatchObject({
      kind: 'forbidden',
    });
    await expect(resetDevice(api, db.operator, device.id)).rejects.toMatchObject({ kind: 'conflict' });
  });
});

describe('suspending a device', () => {
  test('holds all of its certificates, resuming releases them', async () => {
    const { device, certificates } = await withThree();
    expect(await suspendDevice(api, db.operator, device.id)).toMatchObject({ id: device.id, status: 'suspended' });
    for (const one of certificates)
      expect(await shown(one)).toMatchObject({ status: 'onHold', reason: 'certificateHold' });
    expect(await shownDevice(device.id)).toBe('suspended');
    await expect(enroll(est, renewRequest(device, certificates[2]!, newKey()))).rejects.toMatchObject({
      kind: 'forbidden',
    });
    const resumed = await resumeDevice(api, db.operator, device.id);
    expect(resumed).toMatchObject({ status: 'enrolled' });
    for (const one of certificates) expect(await shown(one)).toMatchObject({ status: 'active' });
    await est.follower.catchUp(resumed.seq);
    await enroll(est, renewRequest(device, certificates[2]!, newKey()));
  });

  test('leaves alone what was held or revoked for itself, and so does resuming', async () => {
    const { device, certificates } = await withThree();
    await revokeCertificate(api, db.operator, serialOf(certificates[0]!), { reason: 'certificateHold' });
    await revokeCertificate(api, db.operator, serialOf(certificates[1]!), { reason: 'superseded' });
    await suspendDevice(api, db.operator, device.id);
    await resumeDevice(api, db.operator, device.id);
    expect((await Promise.all(certificates.map(shown))).map((one) => one.status)).toEqual([
      'onHold',
      'revoked',
      'active',
    ]);
  });

  test('twice is one change; resuming what is not suspended conflicts', async () => {
    const { device } = await makeEnrolled(db, product);
    const first = await suspendDevice(api, db.operator, device.id);
    expect(await suspendDevice(api, db.operator, device.id)).toEqual(first);
    await resumeDevice(api, db.operator, device.id);
    await expect(resumeDevice(api, db.operator, device.id)).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('that never enrolled blocks its secret for that time only', async () => {
    const made = await makeDevice(db, product);
    await suspendDevice(api, db.operator, made.device.id);
    await expect(enroll(est, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'forbidden' });
    expect(await resumeDevice(api, db.operator, made.device.id)).toMatchObject({ status: 'registered' });
    await enroll(est, enrollRequest(made, newKey()));
  });
});

describe('revoking a device', () => {
  test('revokes all of its certificates and withdraws its unused secrets, in one change', async () => {
    const { device, certificates } = await withThree();
    const { enrollment } = await resetDevice(api, db.operator, device.id);
    const receipt = await revokeDevice(api, db.operator, device.id, { reason: 'privilegeWithdrawn' });
    for (const one of certificates)
      expect(await shown(one)).toMatchObject({ status: 'revoked', reason: 'privilegeWithdrawn' });
    expect(await shownDevice(device.id)).toBe('revoked');
    const rows = await db.sql<{ seq: number; xmin: string }>(
      `select seq::int, xmin::text from status_changes where seq > $1`,
      [receipt.seq - 4],
    );
    expect(new Set(rows.map((row) => row.xmin)).size).toBe(1);
    await expect(enroll(est, enrollRequest({ device, secret: enrollment.secret }, newKey()))).rejects.toMatchObject({
      kind: 'unauthenticated',
    });
    for (const change of [suspendDevice, resumeDevice]) {
      await expect(change(api, db.operator, device.id)).rejects.toMatchObject({ kind: 'conflict' });
    }
    expect(await revokeDevice(api, db.operator, device.id, { reason: 'privilegeWithdrawn' })).toEqual(receipt);
  });

  test('makes holds final, keeps earlier revocations as they were', async () => {
    const { device, certificates } = await withThree();
    await revokeCertificate(api, db.operator, serialOf(certificates[0]!), { reason: 'certificateHold' });
    await revokeCertificate(api, db.operator, serialOf(certificates[1]!), { reason: 'superseded' });
    await revokeDevice(api, db.operator, device.id, { reason: 'cessationOfOperation' });
    expect((await Promise.all(certificates.map(shown))).map((one) => one.reason)).toEqual([
      'cessationOfOperation',
      'superseded',
      'cessationOfOperation',
    ]);
  });

  test('leaves every other device alone', async () => {
    const one = await makeEnrolled(db, product);
    const two = await makeEnrolled(db, product);
    await revokeDevice(api, db.operator, one.device.id, { reason: 'keyCompromise' });
    expect(await shown(two.certificate)).toMatchObject({ status: 'active' });
    await enroll(est, renewRequest(two.device, two.certificate, newKey()));
  });

  test('as compromised blocks the keys of all its certificates for everyone', async () => {
    const made = await makeEnrolled(db, product);
    const second = newKey();
    await enroll(est, renewRequest(made.device, made.certificate, second));
    await revokeDevice(api, db.operator, made.device.id, { reason: 'keyCompromise' });
    for (const key of [made.key, second]) {
      const other = await makeDevice(db, product);
      await expect(enroll(est, enrollRequest(other, key))).rejects.toMatchObject({ code: 'keyBlocked' });
    }
  });

  test.each(['certificateHold', 'removeFromCRL', 'x'])('for the reason %s is refused', async (reason) => {
    const { device } = await makeEnrolled(db, product);
    await expect((async () => revokeDevice(api, db.operator, device.id, { reason }))()).rejects.toMatchObject({
      kind: 'invalid',
      member: 'reason',
    });
  });

  test('that has piled up 1,500 certificates ends all of them', async () => {
    const { device } = await makeDevice(db, product);
    const facts = {
      deviceId: device.id,
      appId: device.appId,
      ownerOrgId: device.ownerOrgId,
      issuerOrgId: device.issuerOrgId,
    };
    const { serial } = await plantIntent(db, facts);
    const copies = Array.from({ length: 1499 }, () => newSerial());
    await db.sql(
      `insert into serials (serial, issuer_id, shard, not_after, state)
      select decode(n, 'hex'), s.issuer_id, s.shard, s.not_after, 'issued' from unnest($2::text[]) n, serials s where s.serial = $1`,
      [serial, copies],
    );
    await db.sql(
      `insert into certificates (serial, not_after, not_before, issuer_id, profile, profile_version, tbs, der, spki_sha256, subject, names,
        device_id, app_id, requester, owner_org_id, issuer_org_id, mac)
      select decode(n, 'hex'), not_after, not_before, issuer_id, profile, profile_version, tbs, tbs, spki_sha256, subject, names,
        device_id, app_id, requester, owner_org_id, issuer_org_id, mac from unnest($2::text[]) n, certificates where serial = $1`,
      [serial, copies],
    );
    const receipt = await revokeDevice(api, db.operator, device.id, { reason: 'keyCompromise' });
    for (const one of [...copies, serial.toString('hex')])
      expect(api.follower.index.certificate(one)?.status).toBe('revoked');
    expect(api.follower.index.device(device.id)?.seq).toBe(receipt.seq);
  });
});

describe('two changes of one certificate at once follow each other', () => {
  /** Everybody who writes to the log waits until `release` is called. */
  async function holdLog(): Promise<() => Promise<void>> {
    const gate = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const holding = (await db.as('owner')).transaction(async (tx) => {
      await tx.rows(`select 1 from status_counter where id = 1 for update`);
      held.resolve();
      await gate.promise;
    });
    await held.promise;
    return async () => {
      gate.resolve();
      await holding;
    };
  }

  test('a release that was decided before the device was revoked does not bring the certificate back', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'certificateHold' });
    const letGo = await holdLog();
    const revoking = revokeDevice(api, db.operator, device.id, { reason: 'keyCompromise' });
    await db.untilWaiting(1);
    const releasing = releaseCertificate(api, db.operator, serialOf(certificate)).catch((error: unknown) => error);
    await db.untilWaiting(2);
    await letGo();
    await revoking;
    expect(await releasing).toMatchObject({ kind: 'conflict' });
    expect(await shown(certificate)).toMatchObject({ status: 'revoked', reason: 'keyCompromise' });
  });

  test('a revocation of the device for another reason does not soften keyCompromise', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const letGo = await holdLog();
    const first = revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
    await db.untilWaiting(1);
    const second = revokeDevice(api, db.operator, device.id, { reason: 'superseded' });
    await db.untilWaiting(2);
    await letGo();
    await Promise.all([first, second]);
    expect(await shown(certificate)).toMatchObject({ status: 'revoked', reason: 'keyCompromise' });
  });

  test('an enrollment that was decided before the device was revoked ends with a revoked certificate', async () => {
    const made = await makeDevice(db, product);
    const signer = {
      ...est.signer,
      createKey: est.signer.createKey.bind(est.signer),
      sign: async (request: Parameters<typeof est.signer.sign>[0]) => {
        await revokeDevice(api, db.operator, made.device.id, { reason: 'keyCompromise' });
        return est.signer.sign(request);
      },
    };
    const result = await enroll({ ...est, signer }, enrollRequest(made, newKey())).catch((error: unknown) => error);
    if (Buffer.isBuffer(result)) expect(await shown(result)).toMatchObject({ status: 'revoked' });
    expect(await shownDevice(made.device.id)).toBe('revoked');
    expect(
      await history(
        (
          await db.sql<{ s: string }>(`select encode(serial, 'hex') as s from certificates where device_id = $1`, [
            made.device.id,
          ])
        )[0]!.s,
      ),
    ).toMatchObject([{ status: 'revoked' }]);
  });

  test('an enrollment that ends while its device is being revoked never breaks: it is refused, or revoked with it', async () => {
    const deadlocks = () => db.sql(`select deadlocks from pg_stat_database where datname = current_database()`);
    const before = await deadlocks();
    for (let round = 0; round < 40; round++) {
      const made = await makeDevice(db, product);
      const done = Promise.withResolvers<unknown>();
      const signer = {
        createKey: est.signer.createKey.bind(est.signer),
        sign: async (request: Parameters<typeof est.signer.sign>[0]) => {
          const signature = await est.signer.sign(request);
          done.resolve(revokeDevice(api, db.operator, made.device.id, { reason: 'superseded' }));
          return signature;
        },
      };
      const result = await enroll({ ...est, signer }, enrollRequest(made, newKey())).catch((error: unknown) => error);
      await done.promise;
      if (Buffer.isBuffer(result)) expect(await shown(result)).toMatchObject({ status: 'revoked' });
      else expect(result).toMatchObject({ kind: expect.stringMatching(/^(forbidden|unauthenticated|unavailable)$/) });
    }
    // Both lock the device before its certificates.
    expect(await deadlocks()).toEqual(before);
  });

  test('of many changes at once the log ends each certificate as revoked or not at all', async () => {
    const { device, certificates } = await withThree();
    const serials = certificates.map(serialOf);
    const moves = Array.from({ length: 24 }, (_, n) => {
      const serial = serials[n % 3]!;
      return [
        () => revokeCertificate(api, db.operator, serial, { reason: 'certificateHold' }),
        () => releaseCertificate(api, db.operator, serial),
        () => suspendDevice(api, db.operator, device.id),
        () => resumeDevice(api, db.operator, device.id),
      ][(n * 7 + (n >> 2)) % 4]!;
    });
    const all = [...moves, () => revokeDevice(api, db.operator, device.id, { reason: 'superseded' })];
    await Promise.allSettled(all.map((move) => move()));
    for (const serial of serials) {
      const rows = await history(serial);
      const end = rows.findIndex((row) => row.status === 'revoked');
      expect(end).toBe(rows.length - 1);
    }
  });
});
