import { AuthorityError } from '#kernel';
import { readCertificate, readCrl } from '#pki';
import { findImportedCrls, insertImportedCrl, lockIssuers, type Tx } from '#store';
import { issuerAudit, issuerChange } from './announce-issuer.js';
import { logStatus } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { checkImportedCrl, isSignedBy, type ImportedList } from './external-chain.js';
import type { Issuer } from './hierarchy.js';
import { notFound } from './registry.js';

/** Rows that somebody planted above the right one are passed over, this many. */
const LOOKED_AT = 10;

/**
 * Brings in the next CRL of a CA whose key is elsewhere; the worker publishes it. One person does it: what counts is the
 * signature of that CA. A CA of ours that it lists is revoked from then on. Returns its number; the same CRL again changes
 * nothing. Throws `notFound`, `conflict` for a CA that signs its CRLs here or a number that is not higher, `invalid`.
 */
export async function importCrl(
  a: AuthorityContext,
  actor: Actor,
  issuerId: string,
  der: Buffer,
): Promise<{ issuerId: string; number: number; revoked: string[] }> {
  const issuer = await a.issuers.find(issuerId);
  if (issuer === undefined) throw notFound('issuer');
  if (issuer.caKeyId !== null) throw new AuthorityError('conflict', 'this CA signs its own CRLs here');
  const crl = checkImportedCrl(a, der, issuer);
  const doomed = await listedBelow(a, issuer, crl);
  const seq = await a.database.transaction((tx) => record(tx, a, actor, { issuer, crl, doomed }), scopeOf(a, actor));
  if (seq > 0) await a.follower.catchUp(seq);
  return { issuerId, number: Number(crl.number), revoked: doomed.map(({ id }) => id) };
}

/** Those of ours that this CA certified and that its CRL lists. */
async function listedBelow(a: AuthorityContext, issuer: Issuer, { list }: ImportedList): Promise<Issuer[]> {
  const below = (await a.issuers.list()).filter((one) => one.above[0]?.id === issuer.id);
  return below.filter((one) => list.find(readCertificate(one.certificate).serial) !== undefined);
}

async function newestOf(tx: Tx, issuer: Issuer): Promise<Buffer | undefined> {
  for await (const der of findImportedCrls(tx, issuer.id, LOOKED_AT)) if (isSignedBy(der, issuer)) return der;
  return undefined;
}

async function record(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  { issuer, crl, doomed }: { issuer: Issuer; crl: ImportedList; doomed: readonly Issuer[] },
): Promise<number> {
  await lockIssuers(tx);
  const newest = await newestOf(tx, issuer);
  if (newest?.equals(crl.der) === true) return 0;
  if (newest !== undefined && (readCrl(newest).number ?? 0n) >= crl.number) {
    throw new AuthorityError('conflict', 'crl: its number is not higher than that of the last one', { member: 'crl' });
  }
  if (!(await insertImportedCrl(tx, issuer.id, crl.number, crl.der))) {
    throw new AuthorityError('conflict', `crl: there is another one with the number ${crl.number}`, { member: 'crl' });
  }
  const at = a.clock.now();
  const number = Number(crl.number);
  const revoked = doomed.filter((one) => a.follower.index.issuer(one.id)?.status !== 'revoked');
  return logStatus(
    tx,
    a,
    actor,
    at,
    [
      issuerAudit(a, 'ca.crlImported', issuer, { number, entries: crl.list.entryCount }),
      ...revoked.map((one) => issuerAudit(a, 'ca.revoked', one, { name: one.name, reason: 'listed by its issuer' })),
    ],
    revoked.map((one) => issuerChange(one, 'revoked', at)),
  );
}
