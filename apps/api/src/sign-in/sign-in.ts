import { isIP } from 'node:net';
import { Inject } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AuthorityContext, From, RelyingParty, SignedIn } from '#authority';
import { AuthorityError, type Config } from '#kernel';
import { setSession } from '../session-cookie.js';
import { OidcClient } from './oidc-client.js';
import type { OidcSettings } from './oidc-settings.js';

export const SIGN_IN = Symbol('sign-in');
export const TheSignIn = (): ParameterDecorator & PropertyDecorator => Inject(SIGN_IN);

interface Parts {
  config: Pick<Config, 'apiUrl' | 'hostnames'>;
  authority: Pick<AuthorityContext, 'authorityId' | 'settings'>;
  oidc?: OidcSettings | undefined;
  urls: () => { api: string };
}

/** By which names browsers reach this plane, and which issuer it trusts. */
export class SignIn {
  readonly oidc: OidcClient | undefined;

  constructor(private readonly parts: Parts) {
    const { oidc, authority } = parts;
    this.oidc = oidc && new OidcClient(oidc, () => `${this.baseUrl()}/sign-in/oidc/callback`, authority.authorityId);
  }

  /** As configured: nothing that decides is taken from the Host header, which only chooses among names that are ours. */
  relyingParty(request: FastifyRequest): RelyingParty {
    const origins = this.origins();
    const chosen = origins.find((origin) => new URL(origin).host === request.headers.host) ?? origins[0];
    if (chosen === undefined) {
      throw new AuthorityError('conflict', 'passkeys need a host name: set TOUCHMARK_API_URL or TOUCHMARK_HOSTNAMES', {
        code: 'noHostname',
      });
    }
    return { id: new URL(chosen).hostname, origin: chosen };
  }

  /** Gives the browser its session. */
  admit(reply: FastifyReply, session: SignedIn): { person: { id: string; name: string }; expiresAt: string } {
    setSession(reply, session.token, this.parts.authority.settings.access.session);
    return { person: { id: session.personId, name: session.name }, expiresAt: session.expiresAt.toISOString() };
  }

  private baseUrl(): string {
    return this.parts.config.apiUrl ?? this.parts.urls().api;
  }

  private origins(): string[] {
    const { apiUrl, hostnames } = this.parts.config;
    if (apiUrl !== undefined) return [new URL(apiUrl).origin].filter((one) => !isIP(new URL(one).hostname));
    const { port } = new URL(this.parts.urls().api);
    return hostnames
      .filter((name) => isIP(name) === 0)
      .map((name) => new URL(`https://${name}${port === '' ? '' : `:${port}`}`).origin);
  }
}

export const fromOf = (request: FastifyRequest): From => ({ address: request.ip, requestId: request.id });
