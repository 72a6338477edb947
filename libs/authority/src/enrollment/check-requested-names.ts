import { AuthorityError } from '#kernel';
import type { CertificationRequest } from '#pki';
import { readGeneralNameForm, type Profile } from '#policy';

/**
 * The form of what a request wishes to be called, before anybody asks whether it may: a name of a known form that is broken
 * is said to be so. Throws `invalid` or `malformed`.
 */
export function checkRequestedNames(profile: Pick<Profile, 'name' | 'subject'>, csr: CertificationRequest): void {
  for (const name of csr.san ?? []) readGeneralNameForm(name);
  // SX11, S04: what stands in the subject alone is no name.
  if (profile.subject !== 'device' && csr.san === undefined && csr.subject.length > 0) {
    throw new AuthorityError(
      'invalid',
      `names of the profile ${profile.name} stand in subjectAltName, which is missing`,
      {
        code: 'nameForm',
      },
    );
  }
}
