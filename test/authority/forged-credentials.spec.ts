import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createOrganization, introspect, issueKey, revokeKey, type AuthorityContext, type IssuedKey } from '#authority';
import { parseCredential, sealVerifier, verifierHash } from '#credential';
import { keySealContext, type Follower } from '#status';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct } from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
});
afterAll(() => db.stop());

/** Each holds a connection to listen on: they are stopped after each spec. */
const followers: Follower[] = [];
afterEach(async () => {
  for (const one of followers.splice(0)) await one.stop();
});

/** Errors of a follower are kept, so that a spec can say which one came. */
async function follow(
  options: Parameters<TestDatabase['follower']>[0] = {},
): Promise<{ follower: Follower; errors: Error[] }> {
  const errors: Error[] = [];
  const follower = await db.follower({ pollMs: 5000, onError: (error) => errors.push(error), ...options });
  followers.push(follower);
  return { follower, errors };
}

describe('a credential that SQL alone made or changed is not believed', () => {
  let issued: IssuedKey;
  let provider: { id: string; country: string | null };
  beforeEach(async () => {
    const product = await makeProduct(api, db.operator);
    provider = await createOrganization(api, db.operator, { name: 'Provider', kind: 'provider', country: 'US' });
    const audience = { providers: [provider.id] };
    issued = await issueKey(api, db.operator, { releaseId: product.releaseId, audience, environment: 'live' });
  });

  async function expectLeftOut(id: string): Promise<void> {
    const { follower, errors } = await follow();
    await follower.start();
    expect(follower.broken).toBeUndefined();
    expect(follower.index.key(id)).toBeUndefined();
    expect(introspect({ follower, clock: db.clock }, issued.key, undefined)).toEqual({ active: false });
    expect(errors.map((error) => error.message)).toContain(`key ${id} is not believed and left out`);
  }

  test('the row as issued is believed', async () => {
    const { follower } = await follow();
    await follower.start();
    expect(introspect({ follower, clock: db.clock }, issued.key, provider)).toMatchObject({ active: true });
  });

  test.each([
    [
      'another release',
      `update keys set release_id = (select id from releases where id <> release_id limit 1) where id = $1`,
    ],
    ['a later end', `update keys set expires_at = expires_at + interval '1 year' where id = $1`],
    ['another environment', `update keys set environment = 'test' where id = $1`],
    ['the audience "all"', `update keys set audience = 'all' where id = $1`],
    [
      'one provider more',
      `insert into key_audiences select id, gen_random_uuid()::text, owner_org_id, issuer_org_id from keys where id = $1`,
    ],
    ['another provider', `update key_audiences set value = gen_random_uuid()::text where key_id = $1`],
    ['another owner', `update keys set owner_org_id = issuer_org_id where id = $1`],
    ['no MAC', `update keys set mac = '\\x' where id = $1`],
  ])('a key with %s', async (_, sql) => {
    if (sql.includes('releases')) await makeProduct(api, db.operator);
    await db.tamper(sql, [issued.row.id]);
    await expectLeftOut(issued.row.id);
  });

  test('a key with the verifier of another key', async () => {
    const product = await makeProduct(api, db.operator);
    const other = await issueKey(api, db.operator, {
      releaseId: product.releaseId,
      audience: 'all',
      environment: 'live',
    });
    await db.tamper(
      `update keys set sealed_verifier = (select sealed_verifier from keys where id = $2) where id = $1`,
      [issued.row.id, other.row.id],
    );
    await expectLeftOut(issued.row.id);
  });

  test('a key with a verifier that was sealed under another pepper', async () => {
    const verifier = verifierHash(parseCredential(issued.key)!);
    const sealed = sealVerifier({ version: 1, key: randomBytes(32) }, verifier, keySealContext(issued.row));
    await db.tamper(`update keys set sealed_verifier = $2 where id = $1`, [issued.row.id, sealed]);
    await expectLeftOut(issued.row.id);
  });

  test('a planted copy of a key row, which the log never activated', async () => {
    await db.tamper(
      `insert into keys (id, release_id, environment, audience, sealed_verifier, pepper_version, sealed_root, expires_at, mac, status, owner_org_id, issuer_org_id)
      select '00000000000000', release_id, environment, 'all', sealed_verifier, pepper_version, sealed_root, expires_at, mac, 'active', owner_org_id, issuer_org_id from keys where id = $1`,
      [issued.row.id],
    );
    const { follower } = await follow();
    await follower.start();
    expect(follower.index.key('00000000000000')).toBeUndefined();
  });

  test('a revoked key whose column says active again', async () => {
    await revokeKey(api, db.operator, issued.row.id, { reason: 'keyCompromise' });
    await db.tamper(`update keys set status = 'active', ends_at = null where id = $1`, [issued.row.id]);
    const { follower } = await follow();
    await follower.start();
    expect(introspect({ follower, clock: db.clock }, issued.key, provider)).toMatchObject({
      active: false,
      reason: 'revoked',
    });
  });

  test('one forged row does not take the others down', async () => {
    const product = await makeProduct(api, db.operator);
    const honest = await issueKey(api, db.operator, {
      releaseId: product.releaseId,
      audience: 'all',
      environment: 'live',
    });
    await db.tamper(`update keys set audience = 'all' where id = $1`, [issued.row.id]);
    const { follower } = await follow();
    await follower.start();
    expect(introspect({ follower, clock: db.clock }, honest.key, undefined)).toMatchObject({ active: true });
  });
});
