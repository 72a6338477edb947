import { Body, Controller, Delete, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { propose, withdrawRole, type Actor, type AuthorityContext } from '#authority';
import { isRole } from '#policy';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { needsApproval, proposedSchema } from '../proposals.js';
import { personRolesSchema, roleGrant } from '../schema/person-roles.js';
import { absent, personId } from './path-forms.js';

@Controller('v1/people/:id/roles')
export class PersonRoleRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('person:manage')
  @Answers('Propose roles for a person; a second person approves', proposedSchema, 202)
  grant(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', personId) id: string,
    @Body({ schema: roleGrant }) { roles }: z.infer<typeof roleGrant>,
  ) {
    return needsApproval(this.a, by, http, (a) => propose(a, by, 'role.grant', { personId: id, roles }));
  }

  @Delete(':role')
  @Access('person:manage')
  @Answers('Withdraw a role of a person, at once', personRolesSchema)
  async withdraw(@By() by: Actor, @Param('id', personId) id: string, @Param('role') role: string) {
    if (!isRole(role)) throw absent('role');
    return { personId: id, roles: await withdrawRole(this.a, by, id, role) };
  }
}
