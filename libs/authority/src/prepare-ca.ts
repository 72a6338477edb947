import { timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '#audit';
import { AuthorityError } from '#kernel';
import { encodeName, OID, readPublicKey, type KeyType, type Name, type NameConstraintsTemplate } from '#pki';
import { validity, type Profile, type ShippedProfile } from '#policy';
import type { KeyLocation } from '#signing';
import { intentRowMac, type IssuerTerms } from '#status';
import {
  blockKey,
  findIntentsOfKey,
  insertIssuer,
  insertIssuerLink,
  type CertificateRow,
  type IntentRow,
  type IssuerKind,
  type IssuerLinkRow,
  type IssuerRow,
  type Tx,
} from '#store';
import { issuerAudit } from './announce-issuer.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { currentProfile } from './current-profile.js';
import type { Issuer } from './hierarchy.js';
import { prepareIntent, type IntentIssuer, type IssueRequest, type PreparedIntent } from './issue.js';
import { recordIntent } from './record-intent.js';

export type CaContext = Pick<
  AuthorityContext,
  'plane' | 'database' | 'clock' | 'signer' | 'lifetimes' | 'authorityId' | 'macKey' | 'log'
> &
  Partial<Pick<AuthorityContext, 'follower'>>;

const KEY_TYPES: Readonly<Record<IssuerKind, KeyType>> = {
  root: 'ec-p384',
  intermediate: 'ec-p384',
  issuing: 'ec-p256',
};
const PROFILE: Readonly<Record<IssuerKind, ShippedProfile>> = {
  root: 'root-ca',
  intermediate: 'intermediate-ca',
  issuing: 'issuing-ca',
};

export const defaultKeyType = (kind: IssuerKind): KeyType => KEY_TYPES[kind];

/** The parts of a CA's subject beside its common name. */
export type CaNameParts = {
  organization?: string | undefined;
  organizationalUnit?: string | undefined;
  country?: string | undefined;
  state?: string | undefined;
  locality?: string | undefined;
};

/** From the country down to the common name; O=Touchmark where no organization is named. */
export function caSubject(name: string, parts: CaNameParts = {}): Name {
  const { organization = 'Touchmark' } = parts;
  const attributes: [string, string | undefined][] = [
    [OID.countryName, parts.country],
    [OID.stateOrProvinceName, parts.state],
    [OID.localityName, parts.locality],
    [OID.organizationName, organization],
    [OID.organizationalUnitName, parts.organizationalUnit],
    [OID.commonName, name],
  ];
  return attributes.flatMap(([type, value]) => (value === undefined ? [] : [[{ type, value }]]));
}

/** What a CA is to be. What is left out is as its profile has it. */
export interface CaPlan {
  id: string;
  name: string;
  kind: IssuerKind;
  subject: Name;
  statusUrl: string;
  keyType?: KeyType | undefined;
  /** Where the key is made; as the signer is set up where nothing is said. */
  location?: KeyLocation | undefined;
  pathLen?: number | undefined;
  validitySeconds?: number | undefined;
  nameConstraints?: NameConstraintsTemplate | Buffer | undefined;
  terms?: IssuerTerms | undefined;
}

/** The profile of its own certificate, as planned. */
export function caProfile(
  a: Pick<CaContext, 'lifetimes' | 'follower'>,
  plan: Pick<CaPlan, 'kind' | 'pathLen' | 'validitySeconds'>,
): Profile {
  const profile = currentProfile(a, PROFILE[plan.kind]);
  const { pathLen = profile.pathLen, validitySeconds = profile.validitySeconds } = plan;
  return { ...profile, pathLen, validitySeconds };
}

/** null where there is nothing to say. */
export function encodeTerms(terms: IssuerTerms = {}): Buffer | null {
  const said = Object.entries(terms).filter(([, value]) => value !== undefined);
  return said.length === 0 ? null : Buffer.from(canonicalJson(Object.fromEntries(said)));
}

/** Makes the key; the row that will stand in `issuers`. No lock is held meanwhile. */
export async function makeCaKey(
  a: CaContext,
  plan: CaPlan,
  parent: Issuer | undefined,
): Promise<IssuerRow & { caKeyId: string }> {
  const { location } = plan;
  const key = await a.signer.createKey(plan.keyType ?? KEY_TYPES[plan.kind], location && { location });
  const { id, kind, name, statusUrl } = plan;
  const { notAfter } = validity(caProfile(a, plan), a.clock.now(), parent?.notAfter);
  const fixed = { certificate: null, shards: 1, notAfter, terms: encodeTerms(plan.terms) };
  const subjectDer = encodeName(plan.subject);
  return {
    ...{ id, kind, name, statusUrl, subjectDer, parentId: parent?.id ?? null },
    ...{ caKeyId: key.keyId, spki: key.spki, ...fixed },
  };
}

/** A CA that is ready to be recorded: its key made, its certificate linted. */
export interface PreparedCa {
  row: IssuerRow;
  issuer: IntentIssuer;
  intent: PreparedIntent;
}

/** Makes the key and decides what the certificate will say. `parent`: undefined for a root. */
export async function prepareCa(a: CaContext, plan: CaPlan, parent: Issuer | undefined): Promise<PreparedCa> {
  const row = await makeCaKey(a, plan, parent);
  const issuer = parent ?? ownIssuer(row);
  const intent = prepareIntent(a, {
    profile: caProfile(a, plan),
    issuer,
    subject: plan.subject,
    publicKey: readPublicKey(row.spki),
    nameConstraints: plan.nameConstraints,
    ...ofAuthority(a),
    requester: requesterOf(row),
  });
  return { row, issuer, intent };
}

/** What stands in an intent that no device asked for. */
export const ofAuthority = (a: Pick<AuthorityContext, 'authorityId'>) => ({
  san: [],
  deviceId: null,
  appId: null,
  releaseId: null,
  secretId: null,
  requestLabel: '',
  ownerOrgId: null,
  issuerOrgId: a.authorityId,
});

/** A certificate for a CA key that has, or will have, another one too; ready to be recorded. */
export interface PreparedLink {
  row: IssuerLinkRow;
  intent: PreparedIntent;
}

export const linkRequester = (link: Pick<IssuerLinkRow, 'id'>): string => `link:${link.id}`;

/** Decides what the certificate of a link will say. `issuer` signs it, and must be announced before it does. */
export function prepareLink(
  a: CaContext,
  issuer: IntentIssuer,
  link: Pick<IssuerLinkRow, 'id' | 'form' | 'subjectIssuerId' | 'name'>,
  says: Pick<IssueRequest, 'subject' | 'publicKey' | 'nameConstraints' | 'period'> & {
    pathLen: number | undefined;
    validitySeconds?: number | undefined;
  },
): PreparedLink {
  const { pathLen, period, publicKey } = says;
  const profile = currentProfile(a, 'sub-ca');
  const seconds = period && Math.ceil((period.notAfter.getTime() - period.notBefore.getTime()) / 1000) + 1;
  const { validitySeconds = seconds ?? profile.validitySeconds } = says;
  const row = { ...link, issuerId: issuer.id, spkiSha256: publicKey.sha256, certificate: null };
  const { subject, nameConstraints } = says;
  const intent = prepareIntent(a, {
    profile: { ...profile, pathLen, validitySeconds },
    issuer,
    ...{ subject, publicKey, nameConstraints, period },
    ...ofAuthority(a),
    requester: linkRequester(row),
  });
  return { row, intent };
}

export async function recordLink(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  { row, intent }: PreparedLink,
): Promise<void> {
  await insertIssuerLink(tx, row);
  if (!(await recordIntent(tx, a, actor, intent))) {
    throw new AuthorityError('internal', 'the intent was not recorded');
  }
}

/** Stands under the MAC of the intent: which row of `issuers` the certificate is for. */
export const requesterOf = (ca: Pick<IssuerRow, 'id'>): string => `issuer:${ca.id}`;

/** A root signs its own certificate before it is known. */
export const ownIssuer = (row: IssuerRow): IntentIssuer => ({
  ...row,
  publicKey: readPublicKey(row.spki),
  serial: '',
  above: [],
});

/** What was recorded to certify the key of a CA, by this authority alone; the oldest first. */
export async function findOwnIntents(
  a: Pick<AuthorityContext, 'plane' | 'database' | 'macKey'>,
  actor: Actor,
  ca: Pick<IssuerRow, 'kind' | 'spki'>,
): Promise<CertificateRow[]> {
  return findIntentsFor(a, actor, readPublicKey(ca.spki).sha256, PROFILE[ca.kind]);
}

/** The same for a key by its SHA-256 and the profile of the certificate. */
export async function findIntentsFor(
  a: Pick<AuthorityContext, 'plane' | 'database' | 'macKey'>,
  actor: Actor,
  spkiSha256: Buffer,
  profile: ShippedProfile,
): Promise<CertificateRow[]> {
  const find = (tx: Tx) => findIntentsOfKey(tx, spkiSha256, profile);
  const rows = await a.database.transaction(find, scopeOf(a, actor));
  return rows.filter((row) => {
    const mac = intentRowMac(a.macKey, row);
    return row.mac.length === mac.length && timingSafeEqual(row.mac, mac);
  });
}

/** CA and intent in one transaction: a row without an intent of ours is not ours. */
export async function recordCa(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  actor: Actor,
  { row, intent }: PreparedCa,
): Promise<IntentRow> {
  await insertCa(tx, actor, row);
  const recorded = await recordIntent(tx, a, actor, intent);
  if (!recorded) throw new AuthorityError('internal', 'the intent was not recorded');
  return recorded;
}

export async function insertCa(tx: Tx, actor: Actor, row: IssuerRow): Promise<void> {
  await insertIssuer(tx, row);
  // Nobody may ever carry one of our CA keys.
  await blockKey(tx, readPublicKey(row.spki).sha256, 'CA key', { source: 'ca', actor: actor.id });
}

export const caCreatedAudit = (a: Pick<AuthorityContext, 'authorityId'>, row: IssuerRow) =>
  issuerAudit(a, 'ca.created', row, { kind: row.kind, name: row.name, keyType: readPublicKey(row.spki).keyType });
