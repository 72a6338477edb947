import { AuthorityError, isAuthorityError } from '#kernel';

/** A form that is refused in `work` is refused as that of a member of the request. */
export function ofMember<T>(member: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!isAuthorityError(error, 'invalid')) throw error;
    throw new AuthorityError('invalid', `${member}: ${error.detail}`, { member, code: error.code, cause: error });
  }
}
