import { createRemoteJWKSet, customFetch, errors, jwtVerify, type JWTPayload } from 'jose';
import { AuthorityError, type Clock } from '#kernel';

const TIMEOUT_MS = 5000;
const ANSWER_BYTES = 256 * 1024;
/** A key that is not there yet is asked for again at most so often; whatever is there, after the longer one. */
const COOLDOWN_MS = 30_000;
const CACHE_MS = 600_000;
const CLOCK_TOLERANCE_SECONDS = 30;
/** Asymmetric ones alone: the audience is public, and a shared secret would make every holder an issuer. */
const ALGORITHMS = ['EdDSA', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'];
/** ID tokens (OpenID Connect Core) say `JWT` or nothing, access tokens (RFC 9068) `at+jwt`. */
const TYPES: readonly (string | undefined)[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt'];

export interface AccountIssuer {
  issuer: string;
  audience: string;
  /** Seconds from its issue, whatever end it has itself. */
  maxAgeSeconds: number;
}

/** Who the issuer says somebody is. */
export interface ProvenAccount {
  issuer: string;
  subject: string;
}

/**
 * Checks tokens of one OpenID Connect issuer by its published keys (RFC 7519, RFC 8725). Keys are fetched when they are
 * first needed, and again when a token names one that is not known. Nothing of a token says where to fetch from.
 */
export class AccountVerifier {
  private keys: Promise<ReturnType<typeof createRemoteJWKSet>> | undefined;

  constructor(
    private readonly trusted: AccountIssuer,
    private readonly clock: Clock,
  ) {}

  /** Undefined for a token that is not good. Throws `unavailable` where the issuer's keys cannot be had. */
  async verify(token: string): Promise<ProvenAccount | undefined> {
    const { issuer, audience, maxAgeSeconds } = this.trusted;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, await this.published(), {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['exp', 'iat', 'sub'],
        maxTokenAge: maxAgeSeconds,
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: this.clock.now(),
      });
      if (!TYPES.includes(protectedHeader.typ?.toLowerCase()) || !meantForUs(payload, audience)) return undefined;
      return payload.sub === undefined || payload.sub === '' ? undefined : { issuer, subject: payload.sub };
    } catch (cause) {
      if (isNoAnswer(cause)) throw unreachable(cause);
      return undefined;
    }
  }

  private async published(): Promise<ReturnType<typeof createRemoteJWKSet>> {
    this.keys ??= discover(this.trusted.issuer);
    try {
      return await this.keys;
    } catch (cause) {
      this.keys = undefined;
      throw unreachable(cause);
    }
  }
}

/** A token that several may use names the one that it was made for (OpenID Connect Core section 3.1.3.7). */
function meantForUs({ aud, azp }: JWTPayload, audience: string): boolean {
  const several = Array.isArray(aud) && aud.length > 1;
  return azp === undefined ? !several : azp === audience;
}

/** RFC 8414 section 3.3: the description must be that of the issuer it was asked for. */
async function discover(issuer: string): Promise<ReturnType<typeof createRemoteJWKSet>> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetchBounded(url, { redirect: 'error', signal, headers: { accept: 'application/json' } });
  const { issuer: named, jwks_uri: uri } = (await response.json()) as Record<string, unknown>;
  if (response.status !== 200 || named !== issuer || typeof uri !== 'string') {
    throw new Error('the issuer describes itself otherwise');
  }
  const keys = new URL(uri);
  if (keys.protocol !== new URL(issuer).protocol)
    throw new Error('the keys of the issuer are at another kind of address');
  return createRemoteJWKSet(keys, {
    timeoutDuration: TIMEOUT_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: CACHE_MS,
    [customFetch]: fetchBounded,
  });
}

/** An answer without end would fill the memory. */
async function fetchBounded(url: string, options: RequestInit): Promise<Response> {
  const response = await fetch(url, options);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    const bytes = chunk as Uint8Array;
    size += bytes.length;
    if (size > ANSWER_BYTES) throw new errors.JWKSTimeout(`the issuer answers more than ${ANSWER_BYTES} bytes`);
    chunks.push(bytes);
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}

/** What says nothing about the token: no keys came, or none that can be read. */
function isNoAnswer(cause: unknown): boolean {
  if (!(cause instanceof errors.JOSEError)) return true;
  return (
    cause instanceof errors.JWKSTimeout || cause instanceof errors.JWKSInvalid || cause.code === 'ERR_JOSE_GENERIC'
  );
}

const unreachable = (cause: unknown): AuthorityError =>
  cause instanceof AuthorityError
    ? cause
    : new AuthorityError('unavailable', 'the issuer of accounts cannot be asked just now', { retryAfter: 5, cause });
