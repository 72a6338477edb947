import { randomBytes } from 'node:crypto';
import { issueBootstrapToken, writeToken, type Actor } from '#authority';
import { addSeconds } from '#kernel';
import { ROLES, type Role } from '#policy';
import { passkeyRowMac, personRowMac } from '#status';
import { appendStatusChanges, insertPasskey, insertPerson, newId, type StatusChange } from '#store';
import type { TestDatabase } from './database.js';

/** Somebody who answers for himself. */
export type Person = Actor & { personId: string };

let counter = 0;

const change = (db: TestDatabase, kind: StatusChange['kind'], subject: string, status: string): StatusChange => ({
  ...{ kind, subject, status, at: db.clock.now() },
  ...{ reason: null, invalidityDate: null, endsAt: null, issuerId: null, shard: null, notAfter: null },
});

/** Appends to the log, whoever may do that, and waits until the api plane has it. */
async function log(db: TestDatabase, changes: StatusChange[]): Promise<void> {
  const owner = await db.as('owner');
  const seq = await owner.transaction((tx) => appendStatusChanges(tx, db.macKey, changes));
  await (await db.context('api')).follower.catchUp(seq);
}

/** An active person with these roles in an organization, default the authority; as actor when signed in. */
export async function makePerson(
  db: TestDatabase,
  roles: readonly Role[],
  organizationId?: string,
  account?: { issuer: string; subject: string },
): Promise<Person> {
  const owner = await db.as('owner');
  const id = newId(db.clock);
  const of = organizationId ?? db.authorityId;
  const row = {
    ...{ id, organizationId: of, name: `Person ${++counter}`, email: null },
    ...{ oidcIssuer: account?.issuer ?? null, oidcSubject: account?.subject ?? null },
  };
  await owner.transaction((tx) => insertPerson(tx, { ...row, mac: personRowMac(db.macKey, row) }));
  await log(db, [
    change(db, 'person', id, 'active'),
    ...roles.map((role) => change(db, 'role', `${id}:${role}`, 'granted')),
  ]);
  return { id: `person:${id}`, personId: id, organizationId: of, authority: of === db.authorityId, requestId: 'test' };
}

export const grantRole = (db: TestDatabase, personId: string, role: Role): Promise<void> =>
  log(db, [change(db, 'role', `${personId}:${role}`, 'granted')]);
export const withdrawRole = (db: TestDatabase, personId: string, role: Role): Promise<void> =>
  log(db, [change(db, 'role', `${personId}:${role}`, 'withdrawn')]);
export const removePerson = (db: TestDatabase, personId: string): Promise<void> =>
  log(db, [change(db, 'person', personId, 'revoked')]);
export const revokeToken = (db: TestDatabase, tokenId: string): Promise<void> =>
  log(db, [change(db, 'token', tokenId, 'revoked')]);

/** A machine token for which this person answers. */
export async function makeMachine(
  db: TestDatabase,
  maker: Person,
  roles: readonly Role[],
): Promise<Person & { tokenId: string }> {
  const api = await db.context('api');
  const owner = await db.as('owner');
  const { id, seq } = await owner.transaction((tx) =>
    writeToken(tx, api, maker, {
      organizationId: maker.organizationId,
      name: `Machine ${++counter}`,
      kind: 'machine',
      personId: null,
      createdBy: maker.personId,
      roles: [...roles],
      predecessorId: null,
      expiresAt: null,
    }),
  );
  await api.follower.catchUp(seq);
  return { ...maker, id: `operator:${id}`, tokenId: id };
}

/** Text of a personal token. */
export async function makeToken(db: TestDatabase, person: Person, roles: readonly Role[]): Promise<string> {
  const api = await db.context('api');
  const owner = await db.as('owner');
  const { text, seq } = await owner.transaction((tx) =>
    writeToken(tx, api, person, {
      organizationId: person.organizationId,
      name: `Personal ${++counter}`,
      kind: 'personal',
      personId: person.personId,
      createdBy: null,
      roles: [...roles],
      predecessorId: null,
      expiresAt: null,
    }),
  );
  await api.follower.catchUp(seq);
  return text;
}

/** What a sign-in gives this person: the text of a session. */
export async function sessionOf(db: TestDatabase, person: Actor & { personId: string }): Promise<string> {
  const api = await db.context('api');
  const owner = await db.as('owner');
  const { organizationId, personId } = person;
  const facts = {
    organizationId,
    name: 'session',
    kind: 'session',
    personId,
    createdBy: null,
    predecessorId: null,
  } as const;
  const expiresAt = addSeconds(db.clock.now(), 8 * 3600);
  const { text, seq } = await owner.transaction((tx) =>
    writeToken(tx, api, person, { ...facts, roles: [...ROLES], expiresAt }),
  );
  await api.follower.catchUp(seq);
  return text;
}

/** A passkey of this person that nobody holds. */
export async function plantPasskey(db: TestDatabase, personId: string, organizationId: string): Promise<string> {
  const owner = await db.as('owner');
  const row = { id: randomBytes(16).toString('base64url'), personId, organizationId, publicKey: randomBytes(77) };
  const mac = passkeyRowMac(db.macKey, row);
  await owner.transaction((tx) => insertPasskey(tx, { ...row, name: 'Phone', counter: 0, transports: [], mac }));
  await log(db, [change(db, 'passkey', row.id, 'active')]);
  return row.id;
}

/** A bootstrap token as actor: the authority itself answers for it. */
export async function makeBootstrap(
  db: TestDatabase,
): Promise<Actor & { personId: string; tokenId: string; text: string }> {
  const api = await db.context('api');
  const owner = await db.as('owner');
  const { id, text } = await issueBootstrapToken(
    { ...api, plane: 'worker', database: owner },
    `Bootstrap ${++counter}`,
  );
  const [head] = await db.sql<{ seq: string }>('select seq from status_counter');
  await api.follower.catchUp(Number(head!.seq));
  return { ...db.operator, id: `operator:${id}`, personId: db.authorityId, tokenId: id, text };
}
