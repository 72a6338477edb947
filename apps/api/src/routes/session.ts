import { Controller, Delete, Get } from '@nestjs/common';
import { z } from 'zod';
import { signOut, type Actor, type AuthorityContext } from '#authority';
import { Access, callerOf } from '../access.js';
import { Answers } from '../answers.js';
import { By, Http, TheAuthority, type Exchange } from '../authority-module.js';
import { sessionJson, sessionSchema } from '../schema/session.js';
import { clearSession } from '../session-cookie.js';

const ended = z.strictObject({ status: z.literal('signedOut') }).meta({ id: 'SignedOut' });

@Controller('v1/session')
export class SessionRoutes {
  constructor(@TheAuthority() private readonly a: AuthorityContext) {}

  @Get()
  @Access('session')
  @Answers('Who asks: person, organization, roles, permissions', sessionSchema)
  get(@Http() { request }: Exchange) {
    return sessionJson(this.a, callerOf(request));
  }

  @Delete()
  @Access('session')
  @Answers('Sign out: this session ends at once', ended)
  async end(@By() by: Actor, @Http() { request, reply }: Exchange) {
    await signOut(this.a, by, callerOf(request));
    clearSession(reply);
    return { status: 'signedOut' as const };
  }
}
