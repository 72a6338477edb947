import { addSeconds, AuthorityError } from '#kernel';
import { encodeName, encodeNameConstraints, type KeyType, type NameConstraintsTemplate } from '#pki';
import type { KeyLocation } from '#signing';
import { findOrganization, isId, listIssuers, type IssuerKind, type Tx } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfiles } from '../current-profile.js';
import { findRevoked, type Issuer } from '../hierarchy.js';
import { caProfile, caSubject, defaultKeyType, type CaNameParts } from '../prepare-ca.js';

/** What is wished of a new CA, as JSON keeps it. */
export type CaWish = Readonly<{
  name: string;
  kind: IssuerKind;
  /** Certified by this CA of ours; absent: by the main root, or by nobody here. */
  parentId?: string | undefined;
  /** Its certificate is made elsewhere, from a request. */
  external?: boolean | undefined;
  keyType?: string | undefined;
  location?: KeyLocation | undefined;
  organizationId?: string | undefined;
  profiles?: readonly string[] | undefined;
  pathLen?: number | undefined;
  nameConstraints?: NameConstraintsTemplate | undefined;
  validitySeconds?: number | undefined;
  subject?: CaNameParts | undefined;
}>;

const invalid = (member: string, text: string): AuthorityError =>
  new AuthorityError('invalid', `${member}: ${text}`, { member });

/** Refuses a name that another CA has: in a path they could not be told apart. */
export async function requireFreeName(tx: Tx, id: string, { name, subject }: CaWish): Promise<void> {
  const der = encodeName(caSubject(name, subject));
  const rows = await listIssuers(tx);
  const taken = rows.some((row) => row.id === id || row.name === name || row.subjectDer.equals(der));
  if (taken) throw new AuthorityError('conflict', 'name: there is a CA of this name already', { member: 'name' });
}

/** The CA above it, undefined for a root and for what is certified elsewhere. */
export async function findParent(a: AuthorityContext, wish: CaWish): Promise<Issuer | undefined> {
  if (wish.kind === 'root' || wish.external === true) {
    if (wish.parentId !== undefined) throw invalid('parentId', 'nobody of ours certifies it');
    if (wish.kind === 'root' && wish.external === true) throw invalid('external', 'a root certifies itself');
    return undefined;
  }
  const parent = wish.parentId === undefined ? await a.issuers.root() : await a.issuers.find(wish.parentId);
  if (parent === undefined) throw invalid('parentId', 'no such CA');
  return parent;
}

/** Throws `conflict` for a CA that certifies nobody just now, `invalid` where it may not certify what is planned. */
export function requireCertifier(a: AuthorityContext, parent: Issuer): void {
  if (parent.caKeyId === null) {
    throw new AuthorityError('conflict', `the key of ${parent.name} is not here: make a request for it`, {
      code: 'externalKey',
      member: 'parentId',
    });
  }
  if (parent.status !== 'active' || findRevoked(a.follower, parent) !== undefined) {
    throw new AuthorityError('conflict', `${parent.name} is not active`, { member: 'parentId' });
  }
  if (parent.pathLen === 0) throw invalid('parentId', `${parent.name} certifies no further CA`);
}

/** What the certificate may be, by its kind and by who certifies it. */
export function checkPlan(
  a: AuthorityContext,
  wish: Pick<CaWish, 'kind' | 'keyType' | 'pathLen' | 'validitySeconds' | 'nameConstraints'>,
  parent: Issuer | undefined,
): void {
  const { kind, pathLen, validitySeconds, nameConstraints } = wish;
  const profile = caProfile(a, { kind });
  const keyType = (wish.keyType ?? defaultKeyType(kind)) as KeyType;
  if (!profile.keyTypes.includes(keyType)) {
    throw invalid('keyType', `must be one of ${profile.keyTypes.join(', ')}`);
  }
  if (pathLen !== undefined) checkPathLen(kind, pathLen, parent);
  checkValidity(a, validitySeconds, profile.validitySeconds, parent);
  if (nameConstraints !== undefined) encodeNameConstraints(nameConstraints);
}

function checkPathLen(kind: IssuerKind, pathLen: number, parent: Issuer | undefined): void {
  if (kind === 'issuing' && pathLen !== 0) throw invalid('pathLen', 'an issuing CA certifies no further CA: 0');
  if (kind === 'intermediate' && pathLen === 0) throw invalid('pathLen', 'with 0 it is an issuing CA');
  if (parent?.pathLen !== undefined && pathLen >= parent.pathLen) {
    throw invalid('pathLen', `must be smaller than that of ${parent.name}, ${parent.pathLen}`);
  }
}

/** CX06: what would end after its issuer is refused, never cut in silence. */
export function checkValidity(
  a: AuthorityContext,
  wished: number | undefined,
  longest: number,
  parent: Issuer | undefined,
): void {
  if (wished === undefined) return;
  if (wished > longest) throw invalid('validitySeconds', `must be at most ${longest}`);
  if (parent !== undefined && addSeconds(a.clock.now(), wished - 1) > parent.notAfter) {
    throw invalid(
      'validitySeconds',
      `it would end after ${parent.name}, which ends at ${parent.notAfter.toISOString()}`,
    );
  }
}

/** For whom and by which profiles it issues. */
export async function checkTerms(tx: Tx, a: AuthorityContext, wish: CaWish): Promise<void> {
  const { kind, organizationId, profiles } = wish;
  if (kind !== 'issuing' && (organizationId !== undefined || profiles !== undefined)) {
    throw invalid(organizationId === undefined ? 'profiles' : 'organizationId', 'only an issuing CA issues to devices');
  }
  if (organizationId !== undefined) {
    const owner = isId(organizationId) ? await findOrganization(tx, organizationId) : undefined;
    if (owner?.kind !== 'testing') throw invalid('organizationId', 'no such testing organization');
  }
  const known = currentProfiles(a).filter((one) => !one.ca && !one.ocspNoCheck);
  if (profiles?.some((name) => !known.some((one) => one.name === name))) {
    throw invalid('profiles', `must be some of ${known.map(({ name }) => name).join(', ')}`);
  }
}
