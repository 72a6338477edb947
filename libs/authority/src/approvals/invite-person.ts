import { AuthorityError } from '#kernel';
import { createInvitation, hasAccess } from '../people/invite.js';
import { requireActivePerson } from './grant-roles.js';
import type { Operation } from './operation.js';

/** A new way in for somebody who has roles already: a second key to these, so that one person alone does not make it. */
export const reinvitePerson: Operation<Readonly<{ personId: string }>> = {
  name: 'person.invite',
  permission: 'person:manage',
  subject: ({ personId }) => `person:${personId}`,

  async check(tx, a, actor, { personId }) {
    await requireActivePerson(tx, a, actor, personId);
    if (!(await hasAccess(tx, a, personId))) {
      throw new AuthorityError('conflict', 'the person has no access yet: an invitation takes no approval');
    }
  },

  async execute(tx, a, actor, { personId }, { approvalId }) {
    const { id, text, expiresAt, audit } = await createInvitation(tx, a, actor, personId);
    return {
      audits: [{ ...audit, detail: { ...audit.detail, approvalId } }],
      changes: [],
      result: { personId, invitation: id },
      secretResult: { invitation: { code: text, expiresAt: expiresAt.toISOString() } },
    };
  },
};
