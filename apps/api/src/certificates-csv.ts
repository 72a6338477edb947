import type { Actor, AuthorityContext } from '#authority';
import { listCertificates, type CertificateFilter } from '#store';
import { read } from './authority-module.js';
import { certificateJson } from './schema/certificates.js';

const COLUMNS = [
  'serial',
  'status',
  'reason',
  'revokedAt',
  'profile',
  'subject',
  'names',
  'deviceId',
  'appId',
  'releaseId',
  'issuerId',
  'notBefore',
  'notAfter',
  'sha256',
  'supersededBy',
  'createdAt',
] as const;
const ROWS_PER_READ = 1000;

/** Every matching certificate as RFC 4180 lines, newest first, read page by page so that a large export never piles up. */
export async function* certificatesCsv(
  a: AuthorityContext,
  actor: Actor,
  filter: CertificateFilter | undefined,
): AsyncGenerator<string> {
  yield `${COLUMNS.join(',')}\r\n`;
  if (filter === undefined) return;
  const at = a.clock.now();
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const request = { limit: ROWS_PER_READ, cursor };
    const page = await read(a, actor, (tx) => listCertificates(tx, request, filter, at));
    if (page.items.length > 0) yield page.items.map((row) => csvLine(certificateJson(a, row))).join('');
    cursor = page.nextCursor;
  }
}

function csvLine(certificate: ReturnType<typeof certificateJson>): string {
  return `${COLUMNS.map((column) => csvCell([certificate[column] ?? ''].flat().join(' '))).join(',')}\r\n`;
}

/** Quoted always; what a spreadsheet would take for a formula is told as text. */
export function csvCell(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return `"${safe.replaceAll('"', '""')}"`;
}
