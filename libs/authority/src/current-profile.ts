import { AuthorityError } from '#kernel';
import { profiles, withSettings, type Profile, type ProfileName } from '#policy';
import type { ReadonlyStatusIndex } from '#status';
import type { AuthorityContext } from './context.js';

/** Who follows the log sees changed profiles; without it (a first start) there are the shipped ones only. */
export type ProfileView = Pick<AuthorityContext, 'lifetimes'> & {
  follower?: { index: Pick<ReadonlyStatusIndex, 'profile'> };
};

/**
 * The profile as it is now, in memory. Throws `unavailable` where the stored version is not the one that was approved:
 * rather nothing is issued by it than by what somebody made of it.
 */
export function currentProfile(a: ProfileView, name: ProfileName): Profile {
  const shipped = profiles(a.lifetimes)[name];
  const changed = a.follower?.index.profile(name);
  if (changed === undefined) return shipped;
  if (changed.settings === undefined) {
    throw new AuthorityError('unavailable', `the profile ${name} is not the one that was approved`, {
      code: 'profileAltered',
      retryAfter: 3600,
    });
  }
  return withSettings(shipped, changed.version, changed.settings);
}

/** Every profile as it is now. */
export function currentProfiles(a: ProfileView): Profile[] {
  return Object.values(profiles(a.lifetimes)).map(({ name }) => currentProfile(a, name));
}
