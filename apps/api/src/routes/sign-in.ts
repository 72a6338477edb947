import { Body, Controller, Post } from '@nestjs/common';
import type { z } from 'zod';
import { beginPasskeySignIn, redeemInvitation, signInByPasskey, type AuthorityContext } from '#authority';
import { Access } from '../access.js';
import { Answers } from '../answers.js';
import { Http, TheAuthority, type Exchange } from '../authority-module.js';
import { invitationSignIn, optionsSchema, passkeySignIn, signedInSchema } from '../schema/sign-in.js';
import { nothing } from '../schema/values.js';
import { refuseForeignPage } from '../session-cookie.js';
import { fromOf, TheSignIn, type SignIn } from '../sign-in/sign-in.js';

/** How a session begins. Each answer that lets somebody in sets the cookie. */
@Controller('sign-in')
export class SignInRoutes {
  constructor(
    @TheAuthority() private readonly a: AuthorityContext,
    @TheSignIn() private readonly signIn: SignIn,
  ) {}

  @Post('passkey/options')
  @Access('public')
  @Answers('What a browser asks a passkey to sign', optionsSchema)
  async begin(@Http() { request }: Exchange, @Body({ schema: nothing }) _: z.infer<typeof nothing>) {
    refuseForeignPage(request);
    const party = this.signIn.relyingParty(request);
    const { attemptId, options } = await beginPasskeySignIn(this.a, fromOf(request), party);
    return { attemptId, options: { ...options } };
  }

  @Post('passkey')
  @Access('public')
  @Answers('Sign in with a passkey', signedInSchema)
  async passkey(
    @Http() { request, reply }: Exchange,
    @Body({ schema: passkeySignIn }) body: z.infer<typeof passkeySignIn>,
  ) {
    refuseForeignPage(request);
    const party = this.signIn.relyingParty(request);
    const session = await signInByPasskey(this.a, fromOf(request), party, {
      attemptId: body.attemptId,
      response: body.response as Parameters<typeof signInByPasskey>[3]['response'],
    });
    return this.signIn.admit(reply, session);
  }

  @Post('invitation')
  @Access('public', { takesCredential: true })
  @Answers('Sign in once with an invitation', signedInSchema)
  async invitation(
    @Http() { request, reply }: Exchange,
    @Body({ schema: invitationSignIn }) body: z.infer<typeof invitationSignIn>,
  ) {
    refuseForeignPage(request);
    return this.signIn.admit(reply, await redeemInvitation(this.a, body.code.trim(), fromOf(request)));
  }
}
