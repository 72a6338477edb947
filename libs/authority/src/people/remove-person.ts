import { AuthorityError } from '#kernel';
import {
  findPerson,
  isId,
  latestStatus,
  machineTokensMadeBy,
  passkeysOfPerson,
  tokensOfPerson,
  withdrawInvitations,
  type Tx,
} from '#store';
import { logStatus, statusChange } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { auditingRefusal } from '../refusal.js';
import { notFound } from '../registry.js';
import { isUsable } from '../tokens/usable.js';

export interface RemovedPerson {
  id: string;
  status: 'revoked';
  seq: number;
  /** Machine tokens that this person made and that go on: somebody has to decide about each. */
  machineTokens: string[];
}

/**
 * Final: the person, every session and token of hers and every passkey end at once. Machine tokens that she made go on,
 * because programs depend on them, and are named in the answer.
 */
export async function removePerson(a: AuthorityContext, actor: Actor, id: string): Promise<RemovedPerson> {
  const work = async (tx: Tx) => {
    const person = isId(id) ? await findPerson(tx, id) : undefined;
    if (!person) throw notFound('person');
    if (actor.personId === id) {
      throw new AuthorityError('conflict', 'nobody removes himself; let another administrator do it', {
        code: 'removesSelf',
      });
    }
    const { index } = a.follower;
    const now = a.clock.now();
    const machines = (await machineTokensMadeBy(tx, id)).filter((one) => {
      const token = index.token(one);
      return token !== undefined && isUsable(token, now);
    });
    const newest = await latestStatus(tx, 'person', id);
    if (newest?.status === 'revoked') return { seq: newest.seq, machines };
    await withdrawInvitations(tx, id, now);
    const tokens = (await tokensOfPerson(tx, id)).filter((one) => index.token(one)?.status !== 'revoked');
    const passkeys = (await passkeysOfPerson(tx, id)).filter((one) => index.passkey(one.id)?.status !== 'revoked');
    const revoke = (kind: 'person' | 'token' | 'passkey', subject: string) =>
      statusChange({ kind, subject, status: 'revoked', at: now });
    const audit = {
      action: 'person.removed' as const,
      subject: `person:${id}`,
      ownerOrgId: person.organizationId,
      issuerOrgId: actor.organizationId,
      detail: { name: person.name, tokens: tokens.length, passkeys: passkeys.length },
    };
    const changes = [
      ...tokens.map((one) => revoke('token', one)),
      ...passkeys.map((one) => revoke('passkey', one.id)),
      revoke('person', id),
    ];
    return { seq: await logStatus(tx, a, actor, now, [audit], changes), machines };
  };
  const { seq, machines } = await auditingRefusal(a, actor, 'person.removed', `person:${id}`, () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
  await a.follower.catchUp(seq);
  return { id, status: 'revoked', seq, machineTokens: machines };
}
