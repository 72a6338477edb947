import { Body, Controller, Delete, Get, Param, Post, Query } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import { z } from 'zod';
import {
  createPerson,
  hasAccess,
  invitePerson,
  propose,
  removePerson,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { findPerson, listPeople } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { proposedJson, proposedSchema } from '../proposals.js';
import {
  invitationSchema,
  newPerson,
  newPersonJson,
  personJson,
  personPage,
  personSchema,
  removedJson,
  removedSchema,
} from '../schema/people.js';
import { nothing, pageQuery } from '../schema/values.js';
import { found, personId } from './path-forms.js';

const query = z.strictObject(pageQuery);
/** For whoever has access a second person is asked first. */
const invitationAnswer = z.union([invitationSchema, proposedSchema]);

@Controller('v1/people')
export class PersonRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('person:manage')
  @Answers('Create a person, without any role yet', personSchema, 201)
  create(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newPerson }) body: z.infer<typeof newPerson>) {
    return createOnce(this.a, by, http, { secret: false }, async (a) => newPersonJson(await createPerson(a, by, body)));
  }

  @Get()
  @Access('person:read')
  @Answers('List people with their roles', personPage)
  async list(@By() by: Actor, @Query({ schema: query }) page: z.infer<typeof query>) {
    const { items, nextCursor } = await read(this.a, by, (tx) => listPeople(tx, page));
    return { items: items.flatMap((row) => personJson(this.a, row) ?? []), nextCursor };
  }

  @Get(':id')
  @Access('person:read')
  @Answers('Get a person with roles', personSchema)
  async get(@By() by: Actor, @Param('id', personId) id: string) {
    const row = found(await read(this.a, by, (tx) => findPerson(tx, id)), 'person');
    return found(personJson(this.a, row), 'person');
  }

  @Delete(':id')
  @Access('person:manage')
  @Answers('Remove a person for good: every session, token and passkey ends at once', removedSchema)
  async remove(@By() by: Actor, @Param('id', personId) id: string) {
    return removedJson(await removePerson(this.a, by, id));
  }

  @Post(':id/invitations')
  @Access('person:manage')
  @Answers('Make a one-time code for somebody who has no access yet', invitationAnswer, 201)
  @ApiResponse({
    status: 202,
    description: 'The person has access: a second one approves',
    standardSchema: proposedSchema,
  })
  async invite(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', personId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    const again = await read(this.a, by, (tx) => hasAccess(tx, this.a, id));
    const status = (answer: z.infer<typeof invitationAnswer>) => ('approvalId' in answer ? 202 : 201);
    return createOnce<z.infer<typeof invitationAnswer>>(this.a, by, http, { secret: true, status }, async (a) => {
      if (again) return proposedJson(await propose(a, by, 'person.invite', { personId: id }));
      const { id: invitation, text, expiresAt } = await invitePerson(a, by, id);
      return { id: invitation, code: text, expiresAt: expiresAt.toISOString() };
    });
  }
}
