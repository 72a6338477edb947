import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { authenticateOperator, introspect, issueBootstrapToken, issueKey } from '#authority';
import { ROOT } from '../architecture/layers.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeDevice, makeEnrolled, makeProduct } from '../harness/fixtures.js';

/** The last migration of 0.1.0. */
const RELEASED = 1763700000008;

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db.stop());

const files = readdirSync(path.join(ROOT, 'migrations')).sort();
const later = (direction: 'up' | 'down'): string[] =>
  files.filter((file) => file.endsWith(`.${direction}.sql`) && Number(file.split('-', 1)[0]) > RELEASED);

async function run(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await db.sql(`set role tm_owner; ${readFileSync(path.join(ROOT, 'migrations', name), 'utf8')}; reset role`);
  }
}

test('what 0.1.0 wrote is brought to the schema of today, and its tokens, keys and secrets go on', async () => {
  const api = await db.context('api');
  const product = await makeProduct(api, db.operator);
  const token = await issueBootstrapToken({ ...api, plane: 'init', database: await db.as('owner') }, 'bootstrap');
  const audience = { countries: ['CH', 'US'] };
  const key = await issueKey(api, db.operator, { releaseId: product.releaseId, audience, environment: 'live' });
  await makeEnrolled(db, product);
  await makeDevice(db, product);
  const count = async () =>
    (
      await db.sql<{ n: number }>(
        `select ((select count(*) from key_audiences) * 10000 + (select count(*) from enrollment_secrets) * 100
           + (select count(*) from operator_tokens))::int as n`,
      )
    )[0]!.n;
  const before = await count();

  await run(later('down').reverse());
  await expect(db.sql('select roles from operator_tokens')).rejects.toThrow(/does not exist/);
  await run(later('up'));

  expect(await count()).toBe(before);
  const owners = await db.sql(
    `select distinct owner_org_id::text as owner from key_audiences union select owner_org_id::text from enrollment_secrets`,
  );
  expect(owners).toEqual([{ owner: product.vendorId }]);
  const follower = await db.follower({ plane: 'api' });
  await follower.start();
  const fresh = { ...api, follower };
  const caller = await authenticateOperator(fresh, token.text, { address: '192.0.2.1', requestId: 'r' });
  expect(caller).toMatchObject({ kind: 'bootstrap', roles: ['admin', 'officer', 'approver', 'auditor'] });
  expect(introspect(fresh, key.key, undefined)).toMatchObject({ active: true });
});
