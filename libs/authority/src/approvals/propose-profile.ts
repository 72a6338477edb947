import { AuthorityError } from '#kernel';
import { profileDocument, readProfileDocument } from '#policy';
import type { Actor, AuthorityContext } from '../context.js';
import { findProfile } from '../current-profile.js';
import { notFound } from '../registry.js';
import { lastVersion, requireChangeable } from './change-profile.js';
import { propose, type Proposed } from './propose.js';

/** A profile document, or some members of one, as a client sent it: read where it is checked. */
type Sent = Readonly<Record<string, unknown>>;

/** A profile besides those that there are. Throws `conflict` where the name is taken, `invalid` for a document with a fault. */
export async function proposeProfile(a: AuthorityContext, actor: Actor, document: Sent): Promise<Proposed> {
  const { name } = readProfileDocument(document, a.lifetimes);
  if (findProfile(a, name) !== undefined) {
    throw new AuthorityError('conflict', `name: there is a profile ${name}; change it`, { member: 'name' });
  }
  return proposeDocument(a, actor, name, document);
}

/**
 * The whole of a profile as it is to be, new or not. With `version` the document is a change of that version and of no
 * other: `conflict` where another one has come since.
 */
export async function proposeWholeProfile(
  a: AuthorityContext,
  actor: Actor,
  name: string,
  document: Sent,
): Promise<Proposed> {
  const { version } = document;
  const now = lastVersion(a, name);
  if (version !== undefined && version !== now) {
    throw new AuthorityError('conflict', `version: the profile ${name} has version ${now} now`, { member: 'version' });
  }
  return proposeDocument(a, actor, name, document);
}

/** Members of the profile as they are to be, `renewal` member by member; all others stay. */
export async function proposeProfileChange(
  a: AuthorityContext,
  actor: Actor,
  name: string,
  change: Sent,
): Promise<Proposed> {
  const profile = findProfile(a, name);
  if (profile === undefined) throw notFound('profile');
  const now = profileDocument(profile);
  const renewal = { ...now.renewal, ...(change['renewal'] as object | undefined) };
  return proposeDocument(a, actor, name, { ...now, ...given(change), renewal });
}

const given = (change: Sent): Sent =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));

export async function proposeProfileWithdrawal(a: AuthorityContext, actor: Actor, name: string): Promise<Proposed> {
  return propose(a, actor, 'profile.withdraw', { name, version: lastVersion(a, name) });
}

/** With every member that was left out: what the second person sees is all that there is. */
async function proposeDocument(a: AuthorityContext, actor: Actor, name: string, sent: Sent): Promise<Proposed> {
  requireChangeable(name);
  const document = profileDocument(readProfileDocument(sent, a.lifetimes));
  return propose(a, actor, 'profile.change', { name, version: lastVersion(a, name) + 1, document });
}
