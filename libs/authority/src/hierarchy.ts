import { AuthorityError } from '#kernel';
import { NameConstraints, type GeneralName, type Name } from '#pki';
import { mainRoot, type KnownIssuer, type ReadonlyStatusIndex } from '#status';

/** A certification authority that is complete: key made, certificate signed and announced in the status log. */
export interface Issuer extends KnownIssuer {
  /** Whoever certified it, the nearest first, up to its root; empty for a root. */
  above: readonly KnownIssuer[];
}

/** Deeper than anything that is made here; a circle ends there too. */
const MAX_DEPTH = 8;

/** Each with those above it, found by name and key as a path is built. */
export function inHierarchy(known: readonly KnownIssuer[]): Issuer[] {
  const parentOf = (one: KnownIssuer): KnownIssuer | undefined =>
    one.kind === 'root'
      ? undefined
      : known.find((p) => p.subjectDer.equals(one.issuerDer) && one.authorityKeyId?.equals(p.publicKey.keyId));
  return known.map((issuer) => {
    const above: KnownIssuer[] = [];
    for (let one = parentOf(issuer); one !== undefined && above.length < MAX_DEPTH; one = parentOf(one)) {
      above.push(one);
    }
    return { ...issuer, above };
  });
}

export interface StatusView {
  index: Pick<ReadonlyStatusIndex, 'certificate'> & Partial<Pick<ReadonlyStatusIndex, 'issuer'>>;
}

type Standing = Pick<KnownIssuer, 'id' | 'serial' | 'name'> & { above?: readonly KnownIssuer[] };

/** Which of them, the CA itself or one above it, is revoked or on hold. */
export function findRevoked(
  view: StatusView | undefined,
  issuer: Standing,
): { name: string; held: boolean } | undefined {
  for (const one of [issuer, ...(issuer.above ?? [])]) {
    const status = view?.index.certificate(one.serial)?.status;
    const revoked = status === 'revoked' || view?.index.issuer?.(one.id)?.status === 'revoked';
    if (revoked || status === 'onHold') return { name: one.name, held: !revoked };
  }
  return undefined;
}

/** Throws `unavailable` where its own certificate, or one above it, is revoked or on hold: it neither signs nor vouches any more. */
export function requireUsable(a: { follower?: StatusView }, issuer: Standing): void {
  const found = findRevoked(a.follower, issuer);
  if (found === undefined) return;
  const detail = `${found.name} is ${found.held ? 'on hold' : 'revoked'}; ${issuer.name} issues nothing`;
  throw new AuthorityError('unavailable', detail, { code: 'issuerRevoked', retryAfter: 3600 });
}

/**
 * Names that the constraints of the issuer, or of one above it, do not allow are refused before anything is recorded:
 * `forbidden`, code `nameConstraints` (RFC 5280 section 4.2.1.10).
 */
export function requirePermittedNames(
  issuer: { nameConstraints?: Buffer | undefined; above?: readonly KnownIssuer[] },
  names: { subject: Name; san: GeneralName[] },
): void {
  const constraints = new NameConstraints();
  for (const one of [issuer, ...(issuer.above ?? [])]) {
    if (one.nameConstraints !== undefined) constraints.add(one.nameConstraints);
  }
  const refusal = constraints.refusal(names);
  if (refusal === undefined) return;
  throw new AuthorityError('forbidden', `the constraints of the CA do not allow this name: ${refusal}`, {
    code: 'nameConstraints',
  });
}

/** For whom and by which profile something is to be issued. */
export interface Wanted {
  /** The organization that answers for the device; undefined: none in particular. */
  issuerOrgId: string | undefined;
  profile: string;
  validitySeconds: number;
}

/**
 * Of the CAs that may issue it the most specific (made for this organization, then for this profile), of these one whose end
 * cuts nothing off, of these the newest. `usable`: issuing, active, not revoked.
 */
export function chooseIssuer(usable: readonly Issuer[], wanted: Wanted, now: Date): Issuer | undefined {
  const rank = (one: Issuer): number => {
    const { organizationId, profiles } = one.terms;
    const lives = one.notAfter.getTime() - now.getTime() >= wanted.validitySeconds * 1000;
    return (organizationId === undefined ? 0 : 4) + (profiles === undefined ? 0 : 2) + (lives ? 1 : 0);
  };
  return usable
    .filter((one) => one.notAfter > now && fits(one, wanted))
    .toSorted((one, other) => rank(one) - rank(other) || one.seq - other.seq)
    .at(-1);
}

function fits({ terms }: Issuer, { issuerOrgId, profile }: Wanted): boolean {
  const { organizationId, profiles } = terms;
  return (organizationId === undefined || organizationId === issuerOrgId) && profiles?.includes(profile) !== false;
}

/**
 * The root that our own servers stand under, for whoever connects to them. That is the main one as long as they stand under
 * it or under one of its name, which it is linked to; one that was brought from elsewhere has no link.
 */
export function serverRoot(issuers: readonly Issuer[], now: Date): Issuer | undefined {
  const main = mainRoot(issuers);
  const active = issuers.filter(({ kind, status }) => kind === 'issuing' && status === 'active');
  const wanted = { issuerOrgId: undefined, profile: 'tls-server', validitySeconds: 0 };
  const top = chooseIssuer(active, wanted, now)?.above.at(-1);
  if (top === undefined || main?.subjectDer.equals(top.subjectDer) === true) return main;
  return issuers.find(({ id }) => id === top.id);
}

/** Whether both issue the same for the same: of these one is active at a time. */
export function sameTerms(one: KnownIssuer, other: KnownIssuer): boolean {
  const text = ({ terms: { organizationId = '', profiles } }: KnownIssuer): string =>
    JSON.stringify([organizationId, profiles === undefined ? null : [...profiles].sort()]);
  return text(one) === text(other);
}
