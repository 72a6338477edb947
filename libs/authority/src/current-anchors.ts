import type { Certificate, TrustAnchor } from '#pki';
import { anchorCertificates, type TrustAnchors } from '#policy';
import { believed, type PolicyView } from './current-profile.js';

/** A set of trust anchors, read once as long as it stays the same. */
export interface CurrentAnchors extends TrustAnchors {
  trusted: TrustAnchor[];
  known: Certificate[];
}

const read = new WeakMap<object, CurrentAnchors>();

/**
 * The set as it is now, in memory; undefined where there is none. Throws `unavailable` where the stored version is not the
 * one that was approved.
 */
export function currentAnchors(a: PolicyView, name: string): CurrentAnchors | undefined {
  const decided = a.follower?.index.document('anchors', name);
  if (decided === undefined || decided.status === 'withdrawn') return undefined;
  const document = believed(decided, 'anchors', name) as TrustAnchors;
  const kept = read.get(document);
  if (kept !== undefined) return kept;
  const trusted = anchorCertificates(document, 'certificates').map((certificate) => ({
    ...{ subjectDer: certificate.subjectDer, publicKey: certificate.publicKey, certificate },
    set: name,
  }));
  const known = anchorCertificates(document, 'intermediates');
  const current = { ...document, name, version: decided.version, trusted, known };
  read.set(document, current);
  return current;
}

/** Every set as it is now. */
export function currentAnchorSets(a: PolicyView): CurrentAnchors[] {
  const names = [...(a.follower?.index.documents('anchors').keys() ?? [])];
  return names.flatMap((name) => currentAnchors(a, name) ?? []);
}
