import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  fetchUserInfo,
  None,
  randomNonce,
  randomPKCECodeVerifier,
  type Configuration,
  type CustomFetchOptions,
} from 'openid-client';
import type { Account } from '#authority';
import { AuthorityError } from '#kernel';
import type { Role } from '#policy';
import type { OidcSettings } from './oidc-settings.js';

const TIMEOUT_SECONDS = 5;
const ANSWER_BYTES = 256 * 1024;
/** At most 255 ASCII characters (OpenID Connect Core section 2): it is kept, found by and audited. */
const SUBJECT = /^[\x20-\x7e]{1,255}$/;

/** What must come back: proof that whoever began it redeems the code, and the mark of this one sign-in in the ID token. */
export interface OidcChecks {
  verifier: string;
  nonce: string;
}

/**
 * The issuer as this plane uses it: code flow with PKCE (RFC 7636), state, nonce and the issuer in the answer (RFC 9207).
 * Its own description is read at the first sign-in and kept.
 */
export class OidcClient {
  private known: Promise<Configuration> | undefined;

  constructor(
    private readonly settings: OidcSettings,
    private readonly redirectUri: () => string,
    private readonly authorityId: string,
  ) {}

  /** Where the browser goes, and what to check when it comes back. Throws `unavailable` when the issuer cannot be reached. */
  async begin(state: string, { verifier, nonce }: OidcChecks): Promise<URL> {
    const { scope } = this.settings;
    return buildAuthorizationUrl(await this.configuration(), {
      redirect_uri: this.redirectUri(),
      scope,
      state,
      nonce,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
  }

  /** The account that the answer (`search` of the URL) stands for; undefined when it is not believed. */
  async finish(search: string, state: string, checks: OidcChecks): Promise<Account | undefined> {
    const configuration = await this.configuration();
    const tokens = await authorizationCodeGrant(configuration, new URL(`${this.redirectUri()}${search}`), {
      expectedState: state,
      expectedNonce: checks.nonce,
      pkceCodeVerifier: checks.verifier,
      idTokenExpected: true,
    });
    const proven = tokens.claims();
    if (proven === undefined || !SUBJECT.test(proven.sub)) return undefined;
    // Many issuers give claims about the person at this endpoint alone; its answer must be about the same subject.
    const asks = proven[this.settings.rolesClaim] === undefined && configuration.serverMetadata().userinfo_endpoint;
    const more = asks ? await fetchUserInfo(configuration, tokens.access_token, proven.sub) : {};
    const claims: Claims = { ...more, ...proven };
    return {
      issuer: proven.iss,
      subject: proven.sub,
      name: nameOf(claims),
      email: emailOf(claims),
      mapped: this.map(claims[this.settings.rolesClaim]),
    };
  }

  /** Rules for different organizations that fit at once are a mistake of the host: nobody gets in by them. */
  private map(claim: unknown): Account['mapped'] {
    const values = [claim].flat().filter((value) => typeof value === 'string');
    const rules = this.settings.mapping.filter((rule) => values.includes(rule.claim));
    const organizations = new Set(rules.map((rule) => rule.organizationId ?? this.authorityId));
    const [organizationId] = organizations;
    if (organizationId === undefined || organizations.size > 1) return undefined;
    const roles = new Set<Role>(rules.flatMap((rule) => rule.roles));
    return { organizationId, roles: [...roles] };
  }

  private async configuration(): Promise<Configuration> {
    const { issuer, clientId, clientSecret, allowInsecureIssuer } = this.settings;
    this.known ??= discovery(
      new URL(issuer),
      clientId,
      undefined,
      clientSecret === undefined ? None() : ClientSecretBasic(clientSecret),
      {
        timeout: TIMEOUT_SECONDS,
        [customFetch]: fetchBounded,
        // OpenID Connect Core 3.1.3.7 lets TLS stand for the signature of an ID token; roles rest on it, so that it is checked.
        execute: [enableNonRepudiationChecks, ...(allowInsecureIssuer ? [allowInsecureRequests] : [])],
      },
    );
    try {
      return await this.known;
    } catch (cause) {
      this.known = undefined;
      throw new AuthorityError('unavailable', 'the sign-in service cannot be reached just now', {
        retryAfter: 5,
        cause,
      });
    }
  }
}

export const newChecks = (): OidcChecks => ({ verifier: randomPKCECodeVerifier(), nonce: randomNonce() });

/** An answer without end would fill the memory. Redirects are not followed: the library asks for that. */
async function fetchBounded(url: string, options: CustomFetchOptions): Promise<Response> {
  const response = await fetch(url, options as RequestInit);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    size += bytes.length;
    if (size > ANSWER_BYTES) throw new Error(`the issuer answers more than ${ANSWER_BYTES} bytes`);
    chunks.push(bytes);
  }
  const { status, statusText, headers } = response;
  const bodiless = status === 204 || status === 304;
  return new Response(bodiless ? null : Buffer.concat(chunks), { status, statusText, headers });
}

type Claims = Readonly<Record<string, unknown>>;

/** As text that may be shown: no control characters, as much as the table takes. */
function nameOf(claims: Claims): string {
  const given = [claims['name'], claims['preferred_username'], claims['sub']].find(
    (value): value is string => typeof value === 'string' && value.trim() !== '',
  );
  return (
    (given ?? 'unnamed')
      .replace(/[\p{Cc}\p{Cf}]/gu, ' ')
      .trim()
      .slice(0, 200) || 'unnamed'
  );
}

function emailOf(claims: Claims): string | null {
  const { email, email_verified: verified } = claims;
  return typeof email === 'string' && verified === true && /^[^\s\p{Cc}]{3,254}$/u.test(email) ? email : null;
}
