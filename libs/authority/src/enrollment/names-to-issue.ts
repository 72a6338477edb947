import { isAuthorityError } from '#kernel';
import { canonicalGeneralName, nameToString } from '#pki';
import type { Device, PendingEnrollmentRow } from '#store';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { entitledNames } from './entitled-names.js';

/** What the certificate of a request that waits would say; or why there would be none. */
export interface NamesToIssue {
  subject: string;
  /** In canonical form. */
  names: string[];
  refusal: string | undefined;
}

/**
 * The names by the registry, as they are now, where they are not those that were asked for; undefined where they are, or
 * where nothing comes of the request any more.
 */
export function namesToIssue(
  a: AuthorityContext,
  row: PendingEnrollmentRow,
  device: Device | undefined,
): NamesToIssue | undefined {
  if (row.state !== 'pending' && row.state !== 'approved') return undefined;
  if (device === undefined) return undefined;
  try {
    const { subject, san } = entitledNames(a, currentProfile(a, row.profile), device, true);
    const names = san.map(canonicalGeneralName).sort();
    const same = names.length === row.names.length && names.every((name, at) => name === row.names[at]);
    return same ? undefined : { subject: nameToString(subject), names, refusal: undefined };
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    return { subject: '', names: [], refusal: error.detail };
  }
}
