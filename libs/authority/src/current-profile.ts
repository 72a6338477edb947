import { AuthorityError } from '#kernel';
import {
  overEst,
  profiles,
  shippedLabel,
  withSettings,
  type EstLabel,
  type Profile,
  type ProfileSettings,
  type ShippedProfile,
} from '#policy';
import type { DocumentEntry, ReadonlyStatusIndex } from '#status';
import type { PolicyDocumentKind } from '#store';
import type { AuthorityContext } from './context.js';

/** Who follows the log sees what was decided; without it (a first start) there is what is shipped only. */
export type PolicyView = Pick<AuthorityContext, 'lifetimes'> & {
  follower?: { index: Pick<ReadonlyStatusIndex, 'document' | 'documents'> };
};

/**
 * The profile as it is now, in memory. Throws `unavailable` where the stored version is not the one that was approved:
 * rather nothing is issued by it than by what somebody made of it. Throws `notFound` where there is none.
 */
export function currentProfile(a: PolicyView, name: string): Profile {
  const shipped = profiles(a.lifetimes)[name as ShippedProfile];
  if (shipped === undefined) throw new AuthorityError('notFound', 'no such profile');
  const changed = a.follower?.index.document('profile', name);
  if (changed === undefined) return shipped;
  return withSettings(shipped, changed.version, believed(changed, 'profile', name) as ProfileSettings);
}

/** Every profile as it is now. */
export function currentProfiles(a: PolicyView): Profile[] {
  return Object.values(profiles(a.lifetimes)).map(({ name }) => currentProfile(a, name));
}

/** The EST label as it is now, in memory; undefined where there is none. Throws as `currentProfile` does. */
export function currentLabel(a: PolicyView, name: string): EstLabel | undefined {
  const changed = a.follower?.index.document('label', name);
  if (changed?.status === 'withdrawn') return undefined;
  if (changed !== undefined)
    return { ...(believed(changed, 'label', name) as EstLabel), name, version: changed.version };
  const profile = profiles(a.lifetimes)[name as ShippedProfile];
  return profile !== undefined && overEst(profile) ? shippedLabel(profile) : undefined;
}

/** Every EST label as it is now. */
export function currentLabels(a: PolicyView): EstLabel[] {
  const names = new Set([
    ...Object.keys(profiles(a.lifetimes)),
    ...(a.follower?.index.documents('label').keys() ?? []),
  ]);
  return [...names].flatMap((name) => currentLabel(a, name) ?? []);
}

/** The document of an entry. Throws `unavailable` where what is stored is not what was approved. */
export function believed(entry: DocumentEntry, kind: PolicyDocumentKind, name: string): unknown {
  if (entry.document !== undefined) return entry.document;
  throw new AuthorityError('unavailable', `the ${kind} ${name} is not the one that was approved`, {
    code: `${kind}Altered`,
    retryAfter: 3600,
  });
}
