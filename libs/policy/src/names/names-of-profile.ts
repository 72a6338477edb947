import { AuthorityError } from '#kernel';
import { NAME_TYPES, type Profile } from '../profile.js';
import type { DeviceName } from './read-name.js';

const invalid = (detail: string): AuthorityError =>
  new AuthorityError('invalid', `names: ${detail}`, { member: 'names', code: 'nameRules' });

/**
 * Whether a device of this profile may be given these names, by their types and counts; throws `invalid` (code `nameRules`).
 * The own UUID is not counted where the profile wants one: every device has it.
 */
export function checkNamesOfProfile(profile: Pick<Profile, 'name' | 'san'>, names: readonly DeviceName[]): void {
  for (const type of NAME_TYPES) {
    const rule = profile.san.find((one) => one.type === type);
    const given = names.filter((one) => one.type === type).length;
    if (given > (rule?.max ?? 0)) {
      const most = rule === undefined ? 'no name' : `at most ${rule.max}`;
      throw invalid(`the profile ${profile.name} takes ${most} of type ${type}`);
    }
    if (rule !== undefined && type !== 'uuid' && given < rule.min) {
      throw invalid(`the profile ${profile.name} needs ${rule.min} of type ${type} at least`);
    }
  }
  const wantsUuid = profile.san.some(({ type, min }) => type === 'uuid' && min > 0);
  if (profile.san.length > 0 && names.length === 0 && !wantsUuid) {
    throw invalid(`the profile ${profile.name} needs a name of ${profile.san.map(({ type }) => type).join(', ')}`);
  }
}
