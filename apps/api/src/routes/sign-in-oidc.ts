import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Controller, Get } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import {
  ATTEMPT_SECONDS,
  beginAttempt,
  refuseSignIn,
  signInByAccount,
  takeAttempt,
  type Account,
  type AuthorityContext,
} from '#authority';
import { AuthorityError, isAuthorityError } from '#kernel';
import { Access } from '../access.js';
import { Http, TheAuthority, type Exchange } from '../authority-module.js';
import { attemptBinding, clearAttemptBinding, setAttemptBinding } from '../session-cookie.js';
import { newChecks, type OidcChecks, type OidcClient } from '../sign-in/oidc-client.js';
import { fromOf, TheSignIn, type SignIn } from '../sign-in/sign-in.js';

/** What is kept while the browser is at the issuer; the state that it brings back is the name it is kept under. */
interface Attempt extends OidcChecks {
  /** SHA-256 of the cookie: a code that somebody else obtained is worth nothing in this browser, and the other way round. */
  binding: string;
}

/** For browsers: redirects, no JSON. */
@ApiExcludeController()
@Controller('sign-in/oidc')
export class OidcSignInRoutes {
  constructor(
    @TheAuthority() private readonly a: AuthorityContext,
    @TheSignIn() private readonly signIn: SignIn,
  ) {}

  @Get()
  @Access('public')
  async begin(@Http() { request, reply }: Exchange) {
    const client = this.client();
    const checks = newChecks();
    const binding = randomBytes(32).toString('base64url');
    const attempt: Attempt = { ...checks, binding: sha256(binding) };
    const state = await beginAttempt(this.a, fromOf(request), 'oidc', attempt);
    const target = await client.begin(state, checks);
    setAttemptBinding(reply, binding, ATTEMPT_SECONDS);
    void reply.code(302).header('location', target.href);
  }

  @Get('callback')
  @Access('public')
  async finish(@Http() { request, reply }: Exchange) {
    const client = this.client();
    const from = fromOf(request);
    this.a.failedAttempts.check(from.address);
    const search = searchOf(request.raw.url ?? '');
    const state = new URLSearchParams(search).get('state') ?? '';
    const binding = attemptBinding(request);
    clearAttemptBinding(reply);
    // Looked up first, whoever asks: what came back once is used up.
    const attempt = /^[A-Za-z0-9_-]{1,64}$/.test(state)
      ? await takeAttempt<Attempt>(this.a, from, 'oidc', state)
      : undefined;
    if (attempt === undefined || binding === undefined || !sameText(attempt.binding, sha256(binding))) {
      await refuseSignIn(this.a, from, 'oidc');
      throw new AuthorityError(
        'malformed',
        'this sign-in was not begun in this browser, or too long ago; begin again',
        {
          code: 'signInAttempt',
        },
      );
    }
    const account = await this.accountOf(client, search, state, attempt);
    if (account === undefined) throw await refuseSignIn(this.a, from, 'oidc');
    this.signIn.admit(reply, await signInByAccount(this.a, from, account));
    // A page of ours, so that the next request carries the cookie, which is sent by pages of this site alone.
    void reply.code(303).header('location', '/sign-in');
  }

  private client(): OidcClient {
    if (this.signIn.oidc === undefined) {
      throw new AuthorityError('notFound', 'no OpenID Connect issuer is configured');
    }
    return this.signIn.oidc;
  }

  private async accountOf(
    client: OidcClient,
    search: string,
    state: string,
    attempt: Attempt,
  ): Promise<Account | undefined> {
    try {
      return await client.finish(search, state, attempt);
    } catch (error) {
      if (isAuthorityError(error)) throw error;
      this.a.log.warn({ reason: reasonOf(error) }, 'an answer of the OpenID Connect issuer was not believed');
      return undefined;
    }
  }
}

/** Never the message: it may quote what the issuer answered. */
function reasonOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return typeof code === 'string' ? code : String(name);
}

function searchOf(url: string): string {
  const at = url.indexOf('?');
  return at === -1 ? '' : url.slice(at);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url');
const sameText = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
