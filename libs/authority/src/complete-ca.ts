import { LINKED, announcedDigest } from '#status';
import {
  latestStatus,
  listIssuerLinks,
  listIssuers,
  storeLinkCertificate,
  type CertificateRow,
  type IssuerLinkRow,
  type IssuerRow,
  type Tx,
} from '#store';
import { announceIssuer } from './announce-issuer.js';
import { logStatus, statusChange } from './change-status.js';
import { scopeOf, systemActor, type Actor, type AuthorityContext } from './context.js';
import { finishIntent, signedForm, type IntentIssuer } from './issue.js';
import { findIntentsFor, findOwnIntents, linkRequester, ownIssuer, requesterOf } from './prepare-ca.js';

/**
 * Certifies and announces a CA that was recorded, as retired: it publishes its status, and issues from its activation on.
 * Safe to call again, and by several at once. False for a row without an intent of this authority, which stays what it is:
 * nothing, or a key that waits for a certificate from elsewhere.
 */
export async function completeIssuer(a: AuthorityContext, actor: Actor, row: IssuerRow): Promise<boolean> {
  const intents = await findOwnIntents(a, actor, row);
  const certifier = row.kind === 'root' ? row.id : row.parentId;
  const begun = intents.find((intent) => intent.requester === requesterOf(row) && intent.issuerId === certifier);
  if (begun === undefined) return false;
  const issuer = row.kind === 'root' ? ownIssuer(row) : await a.issuers.require(begun.issuerId);
  const certificate = await certified(a, actor, begun, issuer);
  const seq = await announceIssuer(a, actor, { id: row.id, certificate, termsBytes: row.terms, status: 'retired' });
  if (seq !== undefined) await a.follower.catchUp(seq);
  return seq !== undefined;
}

/** The same for a link certificate that one of our CAs signs. Throws `unavailable` while that CA is not announced. */
export async function completeLink(a: AuthorityContext, actor: Actor, row: IssuerLinkRow): Promise<boolean> {
  const intents = await findIntentsFor(a, actor, row.spkiSha256, 'sub-ca');
  const begun = intents.find((one) => one.requester === linkRequester(row) && one.issuerId === row.issuerId);
  if (begun === undefined) return false;
  const certificate = await certified(a, actor, begun, await a.issuers.require(begun.issuerId));
  const seq = await announceLink(a, actor, row.id, certificate);
  if (seq !== undefined) await a.follower.catchUp(seq);
  return seq !== undefined;
}

function certified(a: AuthorityContext, actor: Actor, begun: CertificateRow, issuer: IntentIssuer): Promise<Buffer> {
  if (begun.der !== null) return Promise.resolve(signedForm(begun, begun.der, issuer));
  return finishIntent(a, actor, begun, issuer, null);
}

/** The row of the log that makes a link count. */
export const linkChange = (id: string, certificate: Buffer, at: Date) =>
  statusChange({ kind: 'issuer', subject: id, status: LINKED, reason: announcedDigest(certificate, null), at });

async function announceLink(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  certificate: Buffer,
): Promise<number | undefined> {
  return a.database.transaction(
    async (tx) => {
      const stored = await storeLinkCertificate(tx, id, certificate);
      if (!stored && (await latestStatus(tx, 'issuer', id)) !== undefined) return undefined;
      const at = a.clock.now();
      return logStatus(tx, a, actor, at, [], [linkChange(id, certificate, at)]);
    },
    scopeOf(a, actor),
  );
}

/** Right after an approval; what fails here the worker does within a minute. */
export async function completeNow(a: AuthorityContext, actor: Actor, ids: readonly string[]): Promise<void> {
  try {
    const { issuers, links } = await a.database.transaction(open);
    for (const row of issuers.filter(({ id }) => ids.includes(id))) await completeIssuer(a, actor, row);
    for (const row of links.filter(({ id }) => ids.includes(id))) await completeLink(a, actor, row);
  } catch (error) {
    a.log.warn({ err: error, issuers: ids }, 'a new CA is not certified yet; the worker goes on with it');
  }
}

/** Certifies and announces every CA and link whose making was cut off after its approval. Returns how many. */
export async function reconcileIssuers(a: AuthorityContext): Promise<number> {
  const actor = systemActor(a, 'reconcile');
  const { issuers, links } = await a.database.transaction(open);
  let completed = 0;
  const attempt = async (id: string, work: () => Promise<boolean>): Promise<void> => {
    try {
      if (await work()) completed++;
    } catch (error) {
      a.log.warn({ err: error, issuer: id }, 'a new CA is not certified yet, next try in a minute');
    }
  };
  for (const row of issuers) await attempt(row.id, () => completeIssuer(a, actor, row));
  for (const row of links) await attempt(row.id, () => completeLink(a, actor, row));
  return completed;
}

/** Those without a certificate, in the order in which they are needed. */
async function open(tx: Tx): Promise<{ issuers: IssuerRow[]; links: IssuerLinkRow[] }> {
  const isOpen = (row: { certificate: Buffer | null }): boolean => row.certificate === null;
  return { issuers: (await listIssuers(tx)).filter(isOpen), links: (await listIssuerLinks(tx)).filter(isOpen) };
}
