import { AuthorityError, isAuthorityError } from '#kernel';
import {
  overEst,
  SHIPPED_PROFILES,
  shippedLabel,
  shippedProfile,
  storedProfile,
  type EstLabel,
  type Profile,
} from '#policy';
import type { DocumentEntry, ReadonlyStatusIndex } from '#status';
import type { PolicyDocumentKind } from '#store';
import type { AuthorityContext } from './context.js';

/** Who follows the log sees what was decided; without it (a first start) there is what is shipped only. */
export type PolicyView = Pick<AuthorityContext, 'lifetimes'> & {
  follower?: { index: Pick<ReadonlyStatusIndex, 'document' | 'documents'> };
};

/**
 * The profile as it is now, in memory; undefined where there is none. Throws `unavailable` where the stored version is not
 * the one that was approved: rather nothing is issued by it than by what somebody made of it.
 */
export function findProfile(a: PolicyView, name: string): Profile | undefined {
  const shipped = shippedProfile(a.lifetimes, name);
  const decided = a.follower?.index.document('profile', name);
  if (decided === undefined || decided.status === 'withdrawn') return shipped;
  return storedProfile(believed(decided, 'profile', name), name, decided.version, shipped);
}

/** The same. Throws `notFound` where there is none. */
export function currentProfile(a: PolicyView, name: string): Profile {
  const profile = findProfile(a, name);
  if (profile === undefined) throw new AuthorityError('notFound', 'no such profile');
  return profile;
}

/** Every profile as it is now, the shipped ones first; without those that are not what was approved. */
export function currentProfiles(a: PolicyView): Profile[] {
  return profileNames(a).flatMap((name) => unlessAltered(() => findProfile(a, name)) ?? []);
}

const profileNames = (a: PolicyView): string[] => [
  ...new Set([...SHIPPED_PROFILES, ...(a.follower?.index.documents('profile').keys() ?? [])]),
];

/** The EST label as it is now, in memory; undefined where there is none. Throws as `findProfile` does. */
export function currentLabel(a: PolicyView, name: string): EstLabel | undefined {
  const changed = a.follower?.index.document('label', name);
  if (changed?.status === 'withdrawn') return undefined;
  if (changed !== undefined)
    return { ...(believed(changed, 'label', name) as EstLabel), name, version: changed.version };
  const profile = findProfile(a, name);
  return profile !== undefined && overEst(profile) ? shippedLabel(profile) : undefined;
}

/** Every EST label as it is now; without those that are not what was approved. */
export function currentLabels(a: PolicyView): EstLabel[] {
  const names = new Set([...profileNames(a), ...(a.follower?.index.documents('label').keys() ?? [])]);
  return [...names].flatMap((name) => unlessAltered(() => currentLabel(a, name)) ?? []);
}

/** Whether a device of this profile may come by HTTP Digest somewhere. A shipped label does not have it. */
export function offersDigest(a: PolicyView, profile: string): boolean {
  const decided = a.follower?.index.documents('label').keys() ?? [];
  return [...decided].some((name) => {
    const label = unlessAltered(() => currentLabel(a, name));
    return label?.digest === true && label.profile === profile;
  });
}

/** One that somebody altered takes no list down with it. */
function unlessAltered<T>(find: () => T | undefined): T | undefined {
  try {
    return find();
  } catch (error) {
    if (!isAuthorityError(error, 'unavailable')) throw error;
    return undefined;
  }
}

/** The document of an entry. Throws `unavailable` where what is stored is not what was approved. */
export function believed(entry: DocumentEntry, kind: PolicyDocumentKind, name: string): unknown {
  if (entry.document !== undefined) return entry.document;
  throw new AuthorityError('unavailable', `the ${kind} ${name} is not the one that was approved`, {
    code: `${kind}Altered`,
    retryAfter: 3600,
  });
}
