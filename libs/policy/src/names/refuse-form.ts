import { AuthorityError } from '#kernel';

const SHOWN = 120;

/** A name that has not the form it must have; says which and why. */
export function refuseForm(name: string, why: string): never {
  const shown = name.length > SHOWN ? `${name.slice(0, SHOWN)}...` : name;
  throw new AuthorityError('invalid', `the name ${JSON.stringify(shown)} ${why}`, { code: 'nameForm' });
}
