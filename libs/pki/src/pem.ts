import { AuthorityError } from '#kernel';

/** One PEM block (RFC 7468): 64 columns, LF, newline at the end. */
export function toPem(label: string, der: Buffer): string {
  const lines = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g;

/**
 * The DER of every block, or of those with the given label, in order; text between blocks is passed over. Throws AuthorityError
 * 'malformed' where a block is not base64 or there is none.
 */
export function fromPem(pem: string, label?: string): Buffer[] {
  const found: Buffer[] = [];
  for (const [, name, body] of pem.matchAll(BLOCK)) {
    if (label !== undefined && name !== label) continue;
    const base64 = (body as string).replace(/[ \t\r\n]/g, '');
    const decoded = Buffer.from(base64, 'base64');
    if (decoded.length === 0 || decoded.toString('base64') !== base64) {
      throw new AuthorityError('malformed', `the PEM block ${name} is not base64`);
    }
    found.push(decoded);
  }
  if (found.length === 0)
    throw new AuthorityError('malformed', `no PEM block${label === undefined ? '' : ` ${label}`} found`);
  return found;
}
