import { createHash } from 'node:crypto';
import { AuthorityError, isAuthorityError } from '#kernel';
import { crlRevocation, namesEqual, readCrl, verifyCrl, type CertificateList, type RevocationCheck } from '#pki';
import { findAnchorCrl, storeAnchorCrl } from '#store';
import { logStatus, statusChange } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { currentAnchors, type CurrentAnchors } from './current-anchors.js';
import { notFound } from './registry.js';

/** A revocation list that was taken: of which authority, and what it says of itself. */
export interface StoredCrl {
  anchors: string;
  issuer: string;
  number: string;
  thisUpdate: Date;
  nextUpdate: Date;
  entries: number;
}

/** Authorities of a set: those that are trusted, and those between. */
const signersOf = (set: CurrentAnchors) => [
  ...set.trusted,
  ...set.known.map((certificate) => ({ ...certificate, certificate })),
];

const subjectOf = (set: Pick<CurrentAnchors, 'name'>, signer: Buffer): string =>
  `${set.name}:${signer.toString('hex')}`;

/**
 * Takes the revocation list of one authority of a set: whole, signed by it, of now, and not older than the one before.
 * Throws `invalid` for any other. From its row of the log on, every process decides by it.
 */
export async function storeCrl(a: AuthorityContext, actor: Actor, name: string, der: Buffer): Promise<StoredCrl> {
  const set = currentAnchors(a, name);
  if (set === undefined) throw notFound('set of trust anchors');
  if (set.revocation !== 'crl') throw new AuthorityError('conflict', 'the set says that it has no CRLs');
  const crl = readCrl(der);
  const signer = signersOf(set).find((one) => namesEqual(one.subjectDer, crl.issuerDer) && verifies(crl, one));
  if (signer === undefined) throw fault('it is not signed by an authority of the set');
  const { number, nextUpdate } = requireWhole(a, crl);
  const subject = subjectOf(set, signer.publicKey.sha256);
  const sha256 = createHash('sha256').update(der).digest();
  const before = await crlInForce(a, subject);
  if (before !== undefined && (before.number ?? 0n) > number) throw fault('there is one with a higher number already');
  const stored = { anchors: name, issuer: subject, number: String(number), thisUpdate: crl.thisUpdate, nextUpdate };
  const seq = await a.database.transaction(
    async (tx) => {
      await storeAnchorCrl(tx, { sha256, anchors: name, signer: signer.publicKey.sha256, crl: der });
      const at = a.clock.now();
      const audit = {
        action: 'anchors.crlStored',
        subject: `anchors:${name}`,
        ownerOrgId: null,
        issuerOrgId: a.authorityId,
        detail: { issuer: subject, number: String(number), sha256: sha256.toString('hex'), entries: crl.entryCount },
      } as const;
      const change = { kind: 'crl', subject, status: 'current', reason: sha256.toString('hex'), at } as const;
      return logStatus(tx, a, actor, at, [audit], [statusChange(change)]);
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
  return { ...stored, entries: crl.entryCount };
}

function requireWhole(a: AuthorityContext, crl: CertificateList): { number: bigint; nextUpdate: Date } {
  const { number, nextUpdate, thisUpdate } = crl;
  const now = a.clock.now();
  if (crl.unusable !== undefined) throw fault(`it has a ${crl.unusable}`);
  if (crl.deltaBase !== undefined || crl.issuingDistributionPoint !== undefined)
    throw fault('it is only a part of one');
  if (number === undefined || nextUpdate === undefined) throw fault('it lacks its number or nextUpdate');
  if (thisUpdate > now || nextUpdate <= now) throw fault('it is not of now');
  return { number, nextUpdate };
}

function verifies(crl: CertificateList, signer: ReturnType<typeof signersOf>[number]): boolean {
  if (signer.certificate?.keyUsage?.includes('cRLSign') === false) return false;
  try {
    return verifyCrl(crl, signer.publicKey);
  } catch (error) {
    if (isAuthorityError(error)) return false;
    throw error;
  }
}

const fault = (text: string): AuthorityError => new AuthorityError('invalid', `crl: ${text}`, { member: 'crl' });

const read = new WeakMap<object, Map<string, CertificateList>>();

/** The list that the log announced, from memory where it was read before. Undefined where the row is gone or another. */
async function crlInForce(a: AuthorityContext, subject: string): Promise<CertificateList | undefined> {
  const sha256 = a.follower.index.crl(subject)?.reason;
  if (sha256 === undefined || sha256 === null) return undefined;
  const lists = read.get(a) ?? new Map<string, CertificateList>();
  read.set(a, lists);
  const kept = lists.get(`${subject} ${sha256}`);
  if (kept !== undefined) return kept;
  const row = await a.database.single((tx) => findAnchorCrl(tx, Buffer.from(sha256, 'hex')));
  if (row === undefined || createHash('sha256').update(row.crl).digest('hex') !== sha256) return undefined;
  const list = readCrl(row.crl);
  for (const known of lists.keys()) if (known.startsWith(`${subject} `)) lists.delete(known);
  lists.set(`${subject} ${sha256}`, list);
  return list;
}

/**
 * What is known of the revocation of certificates under a set, now. A list older than the set allows says nothing, and
 * where nothing is said nobody is let in.
 */
export async function anchorRevocation(a: AuthorityContext, set: CurrentAnchors): Promise<RevocationCheck> {
  if (set.revocation === 'none') return () => 'good';
  a.follower.assertFresh(60_000);
  const now = a.clock.now();
  const oldest = now.getTime() - (set.crlMaxAgeSeconds ?? 0) * 1000;
  const lists = await Promise.all(
    signersOf(set).map((signer) => crlInForce(a, subjectOf(set, signer.publicKey.sha256))),
  );
  const current = lists.filter((list) => list !== undefined && list.thisUpdate.getTime() >= oldest);
  return crlRevocation(
    current.flatMap((list) => list ?? []),
    now,
    { certificates: set.known },
  );
}
