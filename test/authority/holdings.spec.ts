import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createOrganization, createPerson, propose, type AuthorityContext } from '#authority';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makePerson, sessionOf } from '../harness/people.js';
import { planeOf, type ApiPlane } from '../api/plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

/** An admin of an organization that holds as many as it may. */
async function crowded(insert: string) {
  const { id } = await createOrganization(api, db.operator, { name: 'Crowd', kind: 'testing' });
  const admin = await makePerson(db, ['admin'], id);
  await db.sql(insert, [id, admin.personId]);
  return { id, admin };
}
const tooMany = expect.objectContaining({ kind: 'conflict', code: 'tooMany' });

test('an organization that has 10,000 people makes no more, and others do', async () => {
  const { admin } = await crowded(
    `insert into people (id, organization_id, name, mac)
     select gen_random_uuid(), $1, 'x' || $2::text, '\\x' from generate_series(1, 9999)`,
  );
  await expect(createPerson(api, admin, { name: 'One more' })).rejects.toEqual(tooMany);
  await expect(createPerson(api, db.operator, { name: 'Elsewhere' })).resolves.toBeDefined();
});

test('an organization that has 10,000 tokens makes no more until some have ended', async () => {
  const { id, admin } = await crowded(
    `insert into operator_tokens (id, organization_id, name, kind, roles, created_by, sealed_verifier, pepper_version, expires_at, mac)
     select lpad(n::text, 14, '0'), $1, 'x', 'machine', '{auditor}', $2, '\\x', 1, now() + interval '1 day', '\\x'
     from generate_series(1, 10000) n`,
  );
  const session = await sessionOf(db, admin);
  const token = { name: 'CI', kind: 'machine', roles: ['admin'] };
  const refused = await plane.post('/v1/tokens', token, session);
  expect(refused).toMatchObject({ status: 409 });
  expect(refused.json()).toMatchObject({ type: 'urn:touchmark:problem:tooMany' });
  await db.sql(`update operator_tokens set expires_at = now() where organization_id = $1 and kind = 'machine'`, [id]);
  expect((await plane.post('/v1/tokens', token, session)).status).toBe(201);
});

test('an organization that has 1,000 open proposals makes no more', async () => {
  const { id, admin } = await crowded(
    `insert into approvals (id, organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at, expires_at, mac)
     select gen_random_uuid(), $1, 'role.grant', 'person:x', '\\x', 'x', $2, now(), now() + interval '1 hour', '\\x'
     from generate_series(1, 1000)`,
  );
  const somebody = await makePerson(db, [], id);
  const grant = { personId: somebody.personId, roles: ['auditor'] };
  await expect(propose(api, admin, 'role.grant', grant)).rejects.toEqual(tooMany);
});
