import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { createUser, disableUser, enableUser, type Actor, type AuthorityContext } from '#authority';
import { findNameUser, isId, listNameUsers } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { nameEnd } from '../schema/domains.js';
import { receiptJson, receiptSchema } from '../schema/receipt.js';
import { newUser, userJson, userPage, userQuery, userSchema } from '../schema/users.js';
import { nothing } from '../schema/values.js';
import { endReason } from './domains.js';
import { found, userId } from './path-forms.js';

@Controller('v1/users')
export class UserRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('user:create')
  @Answers('Register a user with an address in a domain that is held', userSchema, 201)
  create(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newUser }) body: z.infer<typeof newUser>) {
    // Active from its row of the log on, which is in memory only after the answer is committed.
    return createOnce(this.a, by, http, { secret: false }, async (a) => ({
      ...userJson(a, await createUser(a, by, body)),
      status: 'active' as const,
    }));
  }

  @Get()
  @Access('user:read')
  @Answers('List users', userPage)
  async list(@By() by: Actor, @Query({ schema: userQuery }) page: z.infer<typeof userQuery>) {
    if (page.domainId !== undefined && !isId(page.domainId)) return { items: [], nextCursor: null };
    const { items, nextCursor } = await read(this.a, by, (tx) => listNameUsers(tx, page, page));
    return { items: items.map((row) => userJson(this.a, row)), nextCursor };
  }

  @Get(':id')
  @Access('user:read')
  @Answers('Get a user', userSchema)
  async get(@By() by: Actor, @Param('id', userId) id: string) {
    return userJson(this.a, found(await read(this.a, by, (tx) => findNameUser(tx, id)), 'user'));
  }

  @Post(':id/disable')
  @Access('user:change')
  @Answers('Disable a user: every certificate with the address is revoked', receiptSchema)
  async disable(
    @By() by: Actor,
    @Param('id', userId) id: string,
    @Body({ schema: nameEnd }) body: z.infer<typeof nameEnd>,
  ) {
    return receiptJson(await disableUser(this.a, by, id, endReason(by, body)));
  }

  @Post(':id/enable')
  @Access('user:change')
  @Answers('Enable a disabled user; what was revoked stays so', receiptSchema)
  async enable(
    @By() by: Actor,
    @Param('id', userId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await enableUser(this.a, by, id));
  }
}
