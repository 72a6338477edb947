import { AuthorityError } from '#kernel';
import { shippedProfile } from '#policy';
import { statusChange } from '../change-status.js';
import { currentLabels, findProfile } from '../current-profile.js';
import { notFound } from '../registry.js';
import { lastVersion } from './change-profile.js';
import type { Operation } from './operation.js';

/** `version`: the last one, which was looked at. */
export type ProfileWithdrawal = Readonly<{ name: string; version: number }>;

/** Nothing is issued by the profile any more, renewals neither; certificates that there are stay as they are. */
export const withdrawProfile: Operation<ProfileWithdrawal> = {
  name: 'profile.withdraw',
  permission: 'profile:change',
  subject: ({ name }) => `profile:${name}`,

  async check(_tx, a, _actor, { name, version }) {
    if (shippedProfile(a.lifetimes, name) !== undefined) {
      throw new AuthorityError('conflict', 'a shipped profile is changed, never withdrawn');
    }
    if (findProfile(a, name) === undefined) throw notFound('profile');
    const now = lastVersion(a, name);
    if (version !== now) {
      throw new AuthorityError('conflict', `the profile ${name} has version ${now} now; propose it again`);
    }
    // Its own label, of the same name, goes with it unless somebody decided about that one.
    const label = currentLabels(a).find(
      (one) => one.profile === name && (one.name !== name || a.follower.index.document('label', name) !== undefined),
    );
    if (label !== undefined) {
      throw new AuthorityError('conflict', `the EST label ${label.name} issues by it; withdraw or change that first`);
    }
  },

  execute(_tx, a, _actor, { name, version }, { at }) {
    const audit = { ownerOrgId: null, issuerOrgId: a.authorityId, detail: { version } };
    return Promise.resolve({
      audits: [{ action: 'profile.withdrawn', subject: `profile:${name}`, ...audit }],
      changes: [statusChange({ kind: 'profile', subject: name, status: 'withdrawn', at })],
      result: { name, version },
    });
  },
};
