import { createHash } from 'node:crypto';
import { canonicalJson } from '#audit';
import { AuthorityError } from '#kernel';
import {
  MAX_CUSTOM_PROFILES,
  profileDocument,
  readProfileDocument,
  shippedProfile,
  type ProfileDocument,
} from '#policy';
import { policyDocumentMac } from '#status';
import { insertPolicyDocument } from '#store';
import { statusChange } from '../change-status.js';
import type { AuthorityContext } from '../context.js';
import { currentProfiles, findProfile } from '../current-profile.js';
import type { Operation } from './operation.js';

/** The whole of a profile as it will be, new or changed. `version`: the one that it becomes. */
export type ProfileChange = Readonly<{ name: string; version: number; document: ProfileDocument }>;

/** The profile as of its approval: for certificates issued from then on, renewals among them, never for those that there are. */
export const changeProfile: Operation<ProfileChange> = {
  name: 'profile.change',
  permission: 'profile:change',
  subject: ({ name }) => `profile:${name}`,

  async check(_tx, a, _actor, { name, version, document }) {
    requireChangeable(name);
    const next = lastVersion(a, name) + 1;
    if (version !== next) {
      throw new AuthorityError('conflict', `the profile ${name} has version ${next - 1} now; propose it again`);
    }
    const wanted = readProfileDocument(document, a.lifetimes);
    if (wanted.name !== name) {
      throw new AuthorityError('invalid', `name: must be ${name}; a profile keeps its name`, { member: 'name' });
    }
    const now = findProfile(a, name);
    if (now === undefined) requireRoom(a);
    else if (canonicalJson(profileDocument(now)) === canonicalJson(profileDocument(wanted))) {
      throw new AuthorityError('conflict', `the profile ${name} is like that already`);
    }
  },

  async execute(tx, a, _actor, { name, version, document }, { approvalId, at }) {
    // What is stored is what was examined, with every member that was left out.
    const bytes = Buffer.from(canonicalJson(profileDocument(readProfileDocument(document, a.lifetimes))));
    const row = { kind: 'profile' as const, name, version, document: bytes, approvalId };
    if (!(await insertPolicyDocument(tx, { ...row, mac: policyDocumentMac(a.macKey, row) }))) {
      throw new AuthorityError('conflict', `the profile ${name} was changed just now; propose it again`);
    }
    const reason = createHash('sha256').update(bytes).digest('hex');
    return {
      audits: [
        {
          action: 'profile.changed',
          subject: `profile:${name}`,
          ownerOrgId: null,
          issuerOrgId: a.authorityId,
          detail: { version, document: bytes.toString('utf8') },
        },
      ],
      changes: [statusChange({ kind: 'profile', subject: name, status: `v${version}`, reason, at })],
      result: { name, version },
    };
  },
};

/** Throws `conflict` for the profile that nobody changes. */
export function requireChangeable(name: string): void {
  if (name === 'root-ca') throw new AuthorityError('conflict', 'the root is made; nothing is issued by its profile');
}

/** Of a profile that was ever there, also of one withdrawn since; 0 for none. */
export function lastVersion(a: AuthorityContext, name: string): number {
  return a.follower.index.document('profile', name)?.version ?? shippedProfile(a.lifetimes, name)?.version ?? 0;
}

function requireRoom(a: AuthorityContext): void {
  const custom = currentProfiles(a).filter(({ name }) => shippedProfile(a.lifetimes, name) === undefined);
  if (custom.length < MAX_CUSTOM_PROFILES) return;
  throw new AuthorityError(
    'conflict',
    `there are ${MAX_CUSTOM_PROFILES} profiles besides the shipped ones; withdraw one`,
    {
      code: 'tooMany',
    },
  );
}
