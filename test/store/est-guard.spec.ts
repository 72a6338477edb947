import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { revokeCertificate, type AuthorityContext } from '#authority';
import { readCertificate } from '#pki';
import type { Database, Tx } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeDevice, makeEnrolled } from '../harness/fixtures.js';

let db: TestDatabase;
let est: AuthorityContext;
let asEst: Database;
beforeAll(async () => {
  db = await startTestDatabase();
  est = await db.context('est');
  asEst = await db.as('est');
});
afterAll(() => db.stop());

/** Refused by the database, with nothing left of it. */
async function refused(work: (tx: Tx) => Promise<unknown>): Promise<void> {
  await expect(asEst.transaction(work)).rejects.toMatchObject({ kind: 'internal' });
}

const secret = (deviceId: string, columns = '', values = '') => [
  `insert into enrollment_secrets (id, device_id, sealed_verifier, pepper_version, expires_at, owner_org_id, issuer_org_id${columns})
   select '${randomUUID()}', id, sealed_verifier, 1, now() + interval '1 year', owner_org_id, issuer_org_id${values}
   from (select d.*, '\\x00'::bytea as sealed_verifier from devices d) d where id = '${deviceId}'`,
];

describe('whoever has the database role of the plane est', () => {
  test('plants no newer secret for a device that is there, registered or enrolled', async () => {
    for (const { device } of [await makeDevice(db), await makeEnrolled(db)]) {
      const before = await db.sql(`select id from enrollment_secrets where device_id = $1`, [device.id]);
      await refused((tx) => tx.run(secret(device.id)[0]!));
      await refused((tx) => tx.run(secret(device.id, ', created_at', `, now() + interval '1 day'`)[0]!));
      await refused((tx) => tx.run(secret(device.id, ', state', `, 'free'`)[0]!));
      expect(await db.sql(`select id from enrollment_secrets where device_id = $1`, [device.id])).toEqual(before);
    }
  });

  test('blocks no key of a device that nobody revoked, and passes for no other source', async () => {
    const { certificate } = await makeEnrolled(db);
    const { publicKey, serial } = readCertificate(certificate);
    const block = (sha256: Buffer, source = 'compromised') =>
      refused((tx) =>
        tx.run(`insert into blocked_keys (spki_sha256, reason, source, actor) values ($1, 'x', $2, 'x')`, [
          sha256,
          source,
        ]),
      );
    await block(publicKey.sha256);
    await block(randomBytes(32));
    await revokeCertificate(await db.context('api'), db.operator, serial, { reason: 'superseded' });
    await block(publicKey.sha256);
    await block(randomBytes(32), 'imported');
    await block(randomBytes(32), 'ca');
    const keys = await db.sql(`select 1 from blocked_keys where source <> 'ca'`);
    expect(keys).toEqual([]);
  });

  test('still blocks the key of what a device itself revokes as compromised', async () => {
    const { certificate, device } = await makeEnrolled(db);
    const { publicKey, serial } = readCertificate(certificate);
    const actor = { id: `device:${device.id}`, organizationId: db.authorityId, authority: false, requestId: 'x' };
    await revokeCertificate(est, actor, serial, { reason: 'keyCompromise' });
    const keys = await db.sql(`select source from blocked_keys where spki_sha256 = $1`, [publicKey.sha256]);
    expect(keys).toEqual([{ source: 'compromised' }]);
  });
});
