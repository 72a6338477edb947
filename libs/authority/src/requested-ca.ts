import { createHash } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { assembleCsr, encodeCsrInfo, readName, readPublicKey } from '#pki';
import { REQUESTED } from '#status';
import { latestStatus, listIssuers, type IssuerRow, type StatusChange, type Tx } from '#store';
import { statusChange } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { requireKey } from './issue.js';
import { notFound } from './registry.js';

/** Covers everything of the row that decides what the CA will be. */
function digestOf(row: IssuerRow): string {
  const { spki, subjectDer, terms, kind, name, statusUrl, caKeyId } = row;
  const parts = [
    spki,
    subjectDer,
    terms ?? Buffer.alloc(0),
    ...[kind, name, statusUrl, caKeyId ?? ''].map(Buffer.from),
  ];
  const digest = createHash('sha256');
  for (const part of parts) digest.update(createHash('sha256').update(part).digest());
  return digest.digest('hex');
}

/** The row of the log about a key that waits for its certificate. */
export const requestedChange = (row: IssuerRow, at: Date): StatusChange =>
  statusChange({ kind: 'issuer', subject: row.id, status: REQUESTED, reason: digestOf(row), at });

/** Whether it is the one that this row of the log tells of. */
export const isAsRequested = (row: IssuerRow, reason: string | null): boolean => reason === digestOf(row);

/** The CA as it was requested. Throws `notFound`; `conflict` for one that has its certificate, or was altered since. */
export async function requireRequested(tx: Tx, id: string): Promise<IssuerRow> {
  const row = (await listIssuers(tx)).find((one) => one.id === id);
  const log = row && (await latestStatus(tx, 'issuer', id));
  if (row === undefined || log === undefined) throw notFound('issuer');
  if (log.status !== REQUESTED) throw new AuthorityError('conflict', 'the CA has its certificate already');
  if (!isAsRequested(row, log.reason)) {
    throw new AuthorityError('internal', `the CA ${id} is not what was requested`, { code: 'rowMac' });
  }
  return row;
}

/** PKCS#10 of a CA that waits for its certificate, DER, signed anew by its own key: for whoever certifies it. */
export async function issuerRequest(a: AuthorityContext, actor: Actor, id: string): Promise<Buffer> {
  const row = await a.database.transaction((tx) => requireRequested(tx, id), scopeOf(a, actor));
  return requestOf(a, row);
}

/** Proves that the signer holds the key. */
export async function requestOf(a: Pick<AuthorityContext, 'signer'>, row: IssuerRow): Promise<Buffer> {
  const publicKey = readPublicKey(row.spki);
  const info = encodeCsrInfo({ subject: readName(row.subjectDer), publicKey });
  const signature = await a.signer.sign({
    purpose: 'request',
    keyId: requireKey(row),
    subject: { issuerId: row.id },
    message: info,
  });
  return assembleCsr(info, signature, publicKey);
}
