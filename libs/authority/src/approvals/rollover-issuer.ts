import { AuthorityError } from '#kernel';
import { readCertificate, readName, readPublicKey, type KeyType } from '#pki';
import type { KeyLocation } from '#signing';
import { listIssuers, type Tx } from '#store';
import { issuerAudit } from '../announce-issuer.js';
import { completeNow } from '../complete-ca.js';
import type { AuthorityContext } from '../context.js';
import { findRevoked, type Issuer } from '../hierarchy.js';
import {
  caProfile,
  ownIssuer,
  prepareCa,
  prepareLink,
  recordCa,
  recordLink,
  type CaPlan,
  type PreparedCa,
  type PreparedLink,
} from '../prepare-ca.js';
import { requireIssuer } from './activate-issuer.js';
import { checkPlan, checkValidity, requireCertifier } from './check-plan.js';
import type { Operation } from './operation.js';

/** The ids are given when it is proposed, so that it is made once. */
export type IssuerRollover = Readonly<{
  predecessorId: string;
  issuerId: string;
  oldWithNewId: string;
  newWithOldId: string;
  keyType?: string | undefined;
  location?: KeyLocation | undefined;
  validitySeconds?: number | undefined;
}>;

interface Prepared {
  ca: PreparedCa;
  links: PreparedLink[];
}

/**
 * A new key under the old name, beside the old one: own certificate, CRL and OCSP delegate (C22, O35). Of a root the new one
 * certifies the old key and the old one the new key (RFC 9810 section 4.4.1, E34), so that who trusts either follows to the
 * other. Issues from its activation on, which retires the old one.
 */
export const rolloverIssuer: Operation<IssuerRollover> = {
  name: 'ca.rollover',
  permission: 'issuer:change',
  subject: ({ predecessorId }) => `issuer:${predecessorId}`,

  async check(tx, a, _actor, wish) {
    const old = await requireIssuer(tx, a, wish.predecessorId);
    await requireRollable(tx, a, old);
    const parent = await successorOfParent(a, old);
    if (parent !== undefined) requireCertifier(a, parent);
    const { keyType = old.publicKey.keyType, validitySeconds } = wish;
    checkPlan(a, { kind: old.kind, keyType }, parent);
    checkValidity(a, validitySeconds, a.lifetimes.rootCa, parent);
  },

  async prepare(a, wish): Promise<Prepared> {
    const old = await a.issuers.require(wish.predecessorId);
    const ca = await prepareCa(a, planOf(a, wish, old), await successorOfParent(a, old));
    return { ca, links: old.kind === 'root' ? linksOf(a, wish, old, ca) : [] };
  },

  async execute(tx, a, actor, { predecessorId, issuerId }, { prepared }) {
    const { ca, links } = prepared as Prepared;
    await recordCa(tx, a, actor, ca);
    for (const link of links) await recordLink(tx, a, actor, link);
    const { name } = ca.row;
    const keyType = readPublicKey(ca.row.spki).keyType;
    return {
      audits: [issuerAudit(a, 'ca.rolledOver', { id: predecessorId }, { name, successorId: issuerId, keyType })],
      changes: [],
      result: { issuerId, predecessorId },
    };
  },

  async after(a, actor, { issuerId, oldWithNewId, newWithOldId }) {
    await completeNow(a, actor, [issuerId, oldWithNewId, newWithOldId]);
  },
};

async function requireRollable(tx: Tx, a: AuthorityContext, old: Issuer): Promise<void> {
  if (old.caKeyId === null) {
    throw new AuthorityError('conflict', 'its key is kept elsewhere: a new one is made there', { code: 'externalKey' });
  }
  if (old.status !== 'active' || findRevoked(a.follower, old) !== undefined) {
    throw new AuthorityError('conflict', 'only a CA that is active is followed by another key');
  }
  const follows = Buffer.from(`"predecessorId":"${old.id}"`);
  const waiting = (await listIssuers(tx)).filter((row) => row.terms?.includes(follows));
  if (waiting.some((row) => a.follower.index.issuer(row.id)?.status !== 'revoked')) {
    throw new AuthorityError('conflict', 'another key waits to follow it already; activate that one');
  }
}

/** The CA of that name which certifies now: its own may have been followed by another key. */
async function successorOfParent(a: AuthorityContext, old: Issuer): Promise<Issuer | undefined> {
  const [above] = old.above;
  if (above === undefined) return undefined;
  const named = (await a.issuers.list()).filter((one) => one.subjectDer.equals(above.subjectDer));
  return named.find((one) => one.status === 'active') ?? named.find((one) => one.id === above.id);
}

/** All that is said of the old one is said of the new one too; a new root ends later than the old one (E33). */
function planOf(a: AuthorityContext, wish: IssuerRollover, old: Issuer): CaPlan {
  const { name, kind, statusUrl, pathLen, nameConstraints, terms } = old;
  const left = Math.ceil((old.notAfter.getTime() - a.clock.now().getTime()) / 1000);
  const usual = Math.max(caProfile(a, { kind }).validitySeconds, left + 2);
  const { validitySeconds = kind === 'root' ? usual : undefined, location } = wish;
  return {
    ...{ id: wish.issuerId, name, kind, statusUrl, pathLen, nameConstraints, validitySeconds, location },
    subject: readName(old.subjectDer),
    keyType: (wish.keyType as KeyType | undefined) ?? old.publicKey.keyType,
    terms: { ...terms, predecessorId: wish.predecessorId },
  };
}

/** OldWithNew lives as OldWithOld does, NewWithOld from the birth of the new key to the end of the old one. */
function linksOf(a: AuthorityContext, wish: IssuerRollover, old: Issuer, ca: PreparedCa): PreparedLink[] {
  const made = ownIssuer(ca.row);
  const { notBefore, notAfter } = ca.intent.token;
  if (notAfter <= old.notAfter) {
    throw new AuthorityError(
      'invalid',
      `validitySeconds: it must end after the old one, ${old.notAfter.toISOString()}`,
      {
        member: 'validitySeconds',
      },
    );
  }
  const { name, pathLen } = old;
  const subject = readName(readCertificate(old.certificate).subjectDer);
  const says = { subject, pathLen, nameConstraints: old.nameConstraints };
  return [
    prepareLink(
      a,
      made,
      { id: wish.oldWithNewId, form: 'oldWithNew', subjectIssuerId: old.id, name },
      { ...says, publicKey: old.publicKey, period: { notBefore: old.notBefore, notAfter: old.notAfter } },
    ),
    prepareLink(
      a,
      old,
      { id: wish.newWithOldId, form: 'newWithOld', subjectIssuerId: ca.row.id, name },
      { ...says, publicKey: made.publicKey, period: { notBefore, notAfter: old.notAfter } },
    ),
  ];
}
