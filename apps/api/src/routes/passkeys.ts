import { Body, Controller, Delete, Get, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { beginPasskey, registerPasskey, removePasskey, type Actor, type AuthorityContext } from '#authority';
import { passkeysOfPerson } from '#store';
import { Access, callerOf } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, read, TheAuthority, type Exchange } from '../authority-module.js';
import {
  newPasskey,
  optionsSchema,
  passkeyJson,
  passkeySchema,
  passkeysSchema,
  removedPasskeySchema,
} from '../schema/sign-in.js';
import { nothing } from '../schema/values.js';
import { fromOf, TheSignIn, type SignIn } from '../sign-in/sign-in.js';
import { passkeyId } from './path-forms.js';

@Controller('v1/passkeys')
export class PasskeyRoutes {
  constructor(
    @TheAuthority() private readonly a: AuthorityContext,
    @TheSignIn() private readonly signIn: SignIn,
  ) {}

  @Get()
  @Access('session')
  @Answers('List your own passkeys', passkeysSchema)
  async list(@By() by: Actor) {
    const { personId } = by;
    if (personId === undefined || by.id !== `person:${personId}`) return { items: [] };
    const rows = await read(this.a, by, (tx) => passkeysOfPerson(tx, personId));
    const items = rows.flatMap((row) => {
      const entry = this.a.follower.index.passkey(row.id);
      return entry === undefined ? [] : [passkeyJson(row, entry.status === 'active' ? 'active' : 'revoked')];
    });
    return { items };
  }

  @Post('options')
  @Access('session')
  @Answers('What a browser makes a passkey from; only in a session', optionsSchema)
  async begin(@By() by: Actor, @Http() { request }: Exchange, @Body({ schema: nothing }) _: z.infer<typeof nothing>) {
    const { kind } = callerOf(request);
    const party = this.signIn.relyingParty(request);
    const { attemptId, options } = await beginPasskey(this.a, { ...by, kind }, fromOf(request), party);
    return { attemptId, options: { ...options } };
  }

  @Post()
  @Access('session')
  @Answers('Keep a new passkey', passkeySchema, 201)
  async register(
    @By() by: Actor,
    @Http() { request }: Exchange,
    @Body({ schema: newPasskey }) body: z.infer<typeof newPasskey>,
  ) {
    const { kind } = callerOf(request);
    const party = this.signIn.relyingParty(request);
    const made = await registerPasskey(this.a, { ...by, kind }, fromOf(request), party, {
      ...body,
      response: body.response as Parameters<typeof registerPasskey>[4]['response'],
    });
    return passkeyJson(made, 'active');
  }

  @Delete(':id')
  @Access('session')
  @Answers('Remove a passkey for good: your own, or with person:manage of somebody else', removedPasskeySchema)
  remove(@By() by: Actor, @Http() { request }: Exchange, @Param('id', passkeyId) id: string) {
    return removePasskey(this.a, by, callerOf(request), id);
  }
}
