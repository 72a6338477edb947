import { AuthorityError } from '#kernel';
import { personRowMac } from '#status';
import {
  findOrganization,
  findPerson,
  insertPerson,
  isId,
  newId,
  type ListedPerson,
  type PersonRow,
  type Tx,
} from '#store';
import { logStatus, statusChange, type StatusAudit } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { requireRoomFor } from '../holdings.js';

/** A person without any role yet. Roles are granted by two people. */
export async function createPerson(
  a: AuthorityContext,
  actor: Actor,
  request: { name: string; email?: string | undefined; organizationId?: string | undefined },
): Promise<ListedPerson> {
  const made = await a.database.transaction(
    async (tx) => {
      const organizationId = await requireOrganization(tx, actor, request.organizationId);
      await requireRoomFor(tx, organizationId, 'people');
      const { name, email = null } = request;
      const row = { id: newId(a.clock), organizationId, name, email, oidcIssuer: null, oidcSubject: null };
      const { audit, change } = await writePerson(tx, a, actor, row);
      const seq = await logStatus(tx, a, actor, change.at, [audit], [change]);
      return { seq, person: await findPerson(tx, row.id) };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(made.seq);
  if (!made.person) throw new AuthorityError('internal', 'a person just written is not there');
  return made.person;
}

/** The row; what has to be logged with it is for the end of the transaction. */
export async function writePerson(tx: Tx, a: AuthorityContext, actor: Actor, row: Omit<PersonRow, 'mac'>) {
  await insertPerson(tx, { ...row, mac: personRowMac(a.macKey, row) });
  const audit: StatusAudit = {
    action: 'person.created',
    subject: `person:${row.id}`,
    ownerOrgId: row.organizationId,
    issuerOrgId: actor.organizationId,
    detail: { name: row.name, oidcIssuer: row.oidcIssuer },
  };
  return { audit, change: statusChange({ kind: 'person', subject: row.id, status: 'active', at: a.clock.now() }) };
}

async function requireOrganization(tx: Tx, actor: Actor, id: string | undefined): Promise<string> {
  if (id === undefined || id === actor.organizationId) return actor.organizationId;
  const found = actor.authority && isId(id) ? await findOrganization(tx, id) : undefined;
  if (!found) {
    throw new AuthorityError('invalid', 'organizationId: no such organization', { member: 'organizationId' });
  }
  return found.id;
}
