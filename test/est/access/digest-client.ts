import { createHash, randomBytes } from 'node:crypto';
import type { HttpsAnswer } from '../https-request.js';

export interface DigestAnswer {
  user: string;
  password: string;
  method?: string;
  uri: string;
  nonce: string;
  nc?: string;
  /** What is written in place of what was computed. */
  change?: Record<string, string | undefined>;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The nonce of the challenge that an answer has; undefined: it has none for Digest. */
export const nonceOf = (answer: HttpsAnswer): string | undefined =>
  /^Digest [^]*?\bnonce="([^"]+)"/.exec(answer.headers['www-authenticate'] ?? '')?.[1];

export const isStale = (answer: HttpsAnswer): boolean =>
  /^Digest [^"]*(?:"[^"]*"[^"]*)*?, stale=true/.test(answer.headers['www-authenticate'] ?? '');

/** Authorization as a client of RFC 7616 writes it. */
export function digestHeader({ user, password, method = 'POST', uri, nonce, nc = '00000001', change }: DigestAnswer) {
  const cnonce = randomBytes(12).toString('base64url');
  const key = sha256(`${user}:Touchmark EST:${password}`);
  const given: Record<string, string | undefined> = {
    username: `"${user}"`,
    realm: '"Touchmark EST"',
    uri: `"${uri}"`,
    algorithm: 'SHA-256',
    nonce: `"${nonce}"`,
    nc,
    cnonce: `"${cnonce}"`,
    qop: 'auth',
    response: `"${sha256(`${key}:${nonce}:${nc}:${cnonce}:auth:${sha256(`${method}:${uri}`)}`)}"`,
    ...change,
  };
  const written = Object.entries(given).filter(([, value]) => value !== undefined);
  return `Digest ${written.map(([name, value]) => `${name}=${value}`).join(', ')}`;
}
