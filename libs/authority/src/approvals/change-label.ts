import { isReservedLabel } from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
import { checkLabel, type EstLabel } from '#policy';
import type { AuthorityContext } from '../context.js';
import { currentAnchorSets } from '../current-anchors.js';
import { currentLabel, currentProfile } from '../current-profile.js';
import { notFound } from '../registry.js';
import { decideDocument, requireNext, withdrawDocument } from './decided-document.js';
import type { Operation } from './operation.js';

/** What a label offers, all of it. */
export type LabelSettings = Omit<EstLabel, 'name' | 'version'>;

/** `version`: the one that it becomes. */
export type LabelChange = Readonly<{ name: string; version: number; label: LabelSettings }>;

/** A label as of its approval: for requests from then on, in every process within a poll of its log. */
export const changeLabel: Operation<LabelChange> = {
  name: 'label.change',
  permission: 'label:change',
  subject: ({ name }) => `label:${name}`,

  check: (_tx, a, _actor, { name, version, label }) => {
    checkLabel(
      { ...label, name, version },
      {
        profile: profileOf(a, label.profile),
        anchors: new Set(currentAnchorSets(a).map((set) => set.name)),
        reserved: isReservedLabel(name),
      },
    );
    requireNext(a, { kind: 'label', name, version });
    return Promise.resolve();
  },

  execute: (tx, a, _actor, { name, version, label }, { approvalId, at }) =>
    decideDocument(
      tx,
      a,
      { kind: 'label', name, version, document: label },
      { approvalId, at, action: 'label.changed' },
    ),
};

/** No requests come by it any more. The one that answers where the path names none stays (E05). */
export const withdrawLabel: Operation<Readonly<{ name: string }>> = {
  name: 'label.withdraw',
  permission: 'label:change',
  subject: ({ name }) => `label:${name}`,

  check: (_tx, a, _actor, { name }) => {
    if (name === 'device') {
      throw new AuthorityError(
        'conflict',
        'the label device answers where the path names none; it cannot be withdrawn',
        {
          code: 'defaultLabel',
        },
      );
    }
    if (currentLabel(a, name) === undefined) throw notFound('label');
    return Promise.resolve();
  },

  execute: (_tx, a, _actor, { name }, { approvalId, at }) =>
    Promise.resolve(withdrawDocument(a, { kind: 'label', name }, { approvalId, at, action: 'label.withdrawn' })),
};

function profileOf(a: AuthorityContext, name: string) {
  try {
    return currentProfile(a, name);
  } catch (error) {
    if (isAuthorityError(error, 'notFound')) return undefined;
    throw error;
  }
}
