import { createHash } from 'node:crypto';
import { canonicalJson } from '#audit';
import { AuthorityError } from '#kernel';
import type { KeyType } from '#pki';
import { CHANGEABLE_PROFILES, checkProfileSettings, type ChangeableProfile, type ProfileSettings } from '#policy';
import { policyDocumentMac } from '#status';
import { insertPolicyDocument } from '#store';
import { statusChange } from '../change-status.js';
import type { AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { notFound } from '../registry.js';
import type { Operation } from './operation.js';

/** `version`: the one that it becomes. Members that are absent stay as they are. */
export type ProfileChange = Readonly<{
  name: string;
  version: number;
  validitySeconds?: number;
  keyTypes?: readonly string[];
}>;

/** The profile as of its approval: for certificates issued from then on, never for those that there are. */
export const changeProfile: Operation<ProfileChange> = {
  name: 'profile.change',
  permission: 'profile:change',
  subject: ({ name }) => `profile:${name}`,

  async check(_tx, a, _actor, change) {
    const name = requireChangeable(change.name);
    const now = currentProfile(a, name);
    if (change.version !== now.version + 1) {
      throw new AuthorityError('conflict', `the profile ${name} has version ${now.version} now; propose it again`);
    }
    checkProfileSettings(name, settingsOf(a, change), a.lifetimes);
    const { validitySeconds = now.validitySeconds, keyTypes = now.keyTypes } = change;
    if (validitySeconds === now.validitySeconds && sameKeyTypes(keyTypes, now.keyTypes)) {
      throw new AuthorityError('conflict', `the profile ${name} is like that already`);
    }
  },

  async execute(tx, a, _actor, change, { approvalId, at }) {
    const { name, version } = change;
    const { validitySeconds, keyTypes } = settingsOf(a, change);
    const document = Buffer.from(canonicalJson({ validitySeconds, keyTypes }));
    const row = { kind: 'profile' as const, name, version, document, approvalId };
    if (!(await insertPolicyDocument(tx, { ...row, mac: policyDocumentMac(a.macKey, row) }))) {
      throw new AuthorityError('conflict', `the profile ${name} was changed just now; propose it again`);
    }
    const reason = createHash('sha256').update(document).digest('hex');
    return {
      audits: [
        {
          action: 'profile.changed',
          subject: `profile:${name}`,
          ownerOrgId: null,
          issuerOrgId: a.authorityId,
          detail: { version, settings: document.toString('utf8') },
        },
      ],
      changes: [statusChange({ kind: 'profile', subject: name, status: `v${version}`, reason, at })],
      result: { name, version },
    };
  },
};

function requireChangeable(name: string): ChangeableProfile {
  const known = CHANGEABLE_PROFILES.find((one) => one === name);
  if (known !== undefined) return known;
  if (name === 'root-ca') throw new AuthorityError('conflict', 'the root is made; nothing is issued by its profile');
  throw notFound('profile');
}

/** What was changed before, with what is changed now. */
function settingsOf(a: AuthorityContext, { name, validitySeconds, keyTypes }: ProfileChange): ProfileSettings {
  const before = (a.follower.index.document('profile', name)?.document ?? {}) as ProfileSettings;
  return {
    validitySeconds: validitySeconds ?? before.validitySeconds,
    keyTypes: (keyTypes as readonly KeyType[] | undefined) ?? before.keyTypes,
  };
}

const sameKeyTypes = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((keyType) => other.includes(keyType));
