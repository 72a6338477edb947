import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { z } from 'zod';
import {
  issueKey,
  resumeKey,
  revokeKey,
  rotateKey,
  suspendKey,
  type Actor,
  type AuthorityContext,
  type IssuedKey,
} from '#authority';
import { findKey, findSuccessor, isId, listKeys } from '#store';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { By, createOnce, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  issuedKeySchema,
  keyJson,
  keyPage,
  keyQuery,
  keyRevocation,
  keySchema,
  newKey,
  rotation,
} from '../schema/keys.js';
import { receiptJson, receiptSchema } from '../schema/receipt.js';
import { nothing } from '../schema/values.js';
import { found, keyId } from './path-forms.js';

@Controller('v1/keys')
export class KeyRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Post()
  @Access('key:issue')
  @Answers('Issue an API key; the key is shown only here', issuedKeySchema, 201)
  issue(@By() by: Actor, @Http() http: Exchange, @Body({ schema: newKey }) body: z.infer<typeof newKey>) {
    return createOnce(this.a, by, http, { secret: true }, async (a) => {
      const expiresAt = body.expiresAt === undefined ? undefined : new Date(body.expiresAt);
      return issuedJson(a, await issueKey(a, by, { ...body, expiresAt }));
    });
  }

  @Get()
  @Access('key:read')
  @Answers('List keys, never the secret', keyPage)
  async list(@By() by: Actor, @Query({ schema: keyQuery }) query: z.infer<typeof keyQuery>) {
    if (query.releaseId !== undefined && !isId(query.releaseId)) return { items: [], nextCursor: null };
    const { items, nextCursor } = await read(this.a, by, (tx) => listKeys(tx, query, query, this.a.clock.now()));
    return { items: items.map((row) => keyJson(this.a, row)), nextCursor };
  }

  @Get(':id')
  @Access('key:read')
  @Answers('Get a key, never the secret', keySchema)
  async get(@By() by: Actor, @Param('id', keyId) id: string) {
    return read(this.a, by, async (tx) => {
      const row = found(await findKey(tx, id), 'key');
      return keyJson(this.a, row, await findSuccessor(tx, id));
    });
  }

  @Post(':id/rotate')
  @Access('key:rotate')
  @Answers('Issue the successor of a key; the old one becomes retiring', issuedKeySchema, 201)
  rotate(
    @By() by: Actor,
    @Http() http: Exchange,
    @Param('id', keyId) id: string,
    @Body({ schema: rotation }) body: z.infer<typeof rotation>,
  ) {
    return createOnce(this.a, by, http, { secret: true }, async (a) => issuedJson(a, await rotateKey(a, by, id, body)));
  }

  @Post(':id/suspend')
  @Access('key:suspend')
  @Answers('Suspend a key', receiptSchema)
  async suspend(
    @By() by: Actor,
    @Param('id', keyId) id: string,
    @Body({ schema: nothing }) _: z.infer<typeof nothing>,
  ) {
    return receiptJson(await suspendKey(this.a, by, id));
  }

  @Post(':id/resume')
  @Access('key:resume')
  @Answers('Lift the suspension of a key', receiptSchema)
  async resume(@By() by: Actor, @Param('id', keyId) id: string, @Body({ schema: nothing }) _: z.infer<typeof nothing>) {
    return receiptJson(await resumeKey(this.a, by, id));
  }

  @Post(':id/revoke')
  @Access('key:revoke')
  @Answers('Revoke a key for good', receiptSchema)
  async revoke(
    @By() by: Actor,
    @Param('id', keyId) id: string,
    @Body({ schema: keyRevocation }) body: z.infer<typeof keyRevocation>,
  ) {
    return receiptJson(await revokeKey(this.a, by, id, body));
  }
}

/** A new key is shown as it was written: within its own transaction the status log does not tell of it yet. */
function issuedJson(a: AuthorityContext, issued: IssuedKey): z.infer<typeof issuedKeySchema> {
  return { ...keyJson(a, issued.row), status: issued.row.status, key: issued.key };
}
