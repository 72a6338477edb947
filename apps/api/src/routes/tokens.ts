import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import { issueToken, revokeToken, rotateToken, type Actor, type AuthorityContext } from '#authority';
import { isId, listOperatorTokens } from '#store';
import { Access, callerOf } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import { rotation } from '../schema/keys.js';
import {
  issuedTokenJson,
  issuedTokenSchema,
  newToken,
  revokedTokenSchema,
  tokenJson,
  tokenPage,
  tokenQuery,
} from '../schema/tokens.js';
import { nothing } from '../schema/values.js';
import { tokenId } from './path-forms.js';

/** `session`: everybody's own; those of the organization need `token:read` and `token:manage`, asked by the use cases. */
@Controller('v1/tokens')
export class TokenRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('session')
  @Answers('Make a token for a program or for your command line; it is shown only here', issuedTokenSchema, 201)
  issue(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newToken }) body: z.infer<typeof newToken>) {
    return createOnce(this.a, by, http, { secret: true }, async (a) => {
      const expiresAt = body.expiresAt === undefined ? undefined : new Date(body.expiresAt);
      return issuedTokenJson(await issueToken(a, by, callerOf(http.request), { ...body, expiresAt }));
    });
  }

  @Get()
  @Access('session')
  @Answers('List tokens, never their secrets: your own, or with token:read those of the organization', tokenPage)
  async list(
    @By() by: Actor,
    @Http() http: Exchange,
    @Query({ schema: tokenQuery }) query: z.infer<typeof tokenQuery>,
  ) {
    const all = callerOf(http.request).permissions.has('token:read');
    const personId = all ? query.personId : ownPersonId(by);
    if ((!all && personId === undefined) || (personId !== undefined && !isId(personId))) {
      return { items: [], nextCursor: null };
    }
    const { items, nextCursor } = await read(this.a, by, (tx) => listOperatorTokens(tx, query, { ...query, personId }));
    return { items: items.flatMap((row) => tokenJson(this.a, row) ?? []), nextCursor };
  }

  @Post(':id/rotate')
  @Access('session')
  @Answers('Issue the successor of a token; the old one goes on for the overlap', issuedTokenSchema, 201)
  rotate(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', tokenId) id: string,
    @Body({ schema: rotation }) body: z.infer<typeof rotation>,
  ) {
    return createOnce(this.a, by, http, { secret: true }, async (a) =>
      issuedTokenJson(await rotateToken(a, by, callerOf(http.request), id, body)),
    );
  }

  @Post(':id/revoke')
  @Access('session')
  @Answers('Revoke a token for good', revokedTokenSchema)
  revoke(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', tokenId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return revokeToken(this.a, by, callerOf(http.request), id);
  }
}

/** Whom the caller is as a person; a machine's maker is not the machine. */
const ownPersonId = (by: Actor): string | undefined => (by.id === `person:${by.personId}` ? by.personId : undefined);
