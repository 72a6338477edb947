import { AuthorityError } from '#kernel';
import { checkTrustAnchors, type TrustAnchors } from '#policy';
import { findApp, isId } from '#store';
import { currentAnchors } from '../current-anchors.js';
import { currentLabels } from '../current-profile.js';
import { notFound } from '../registry.js';
import { decideDocument, requireNext, withdrawDocument } from './decided-document.js';
import type { Operation } from './operation.js';

/** What a set of trust anchors says, all of it. */
export type AnchorSettings = Omit<TrustAnchors, 'name' | 'version'>;

/** `version`: the one that it becomes. */
export type AnchorsChange = Readonly<{ name: string; version: number; anchors: AnchorSettings }>;

/** Whom a label may trust to tell devices. Those who were registered by the set stay registered, whatever becomes of it. */
export const changeAnchors: Operation<AnchorsChange> = {
  name: 'anchors.change',
  permission: 'anchors:change',
  subject: ({ name }) => `anchors:${name}`,

  async check(tx, a, _actor, { name, version, anchors }) {
    checkTrustAnchors({ ...anchors, name, version });
    const app = isId(anchors.appId) ? await findApp(tx, anchors.appId) : undefined;
    if (app === undefined) throw new AuthorityError('invalid', 'appId: no such app', { member: 'appId' });
    requireNext(a, { kind: 'anchors', name, version });
    const before = currentAnchors(a, name);
    if (before !== undefined && before.identity !== anchors.identity) {
      throw new AuthorityError('conflict', 'identity: devices are known by the other one; make a set of another name', {
        member: 'identity',
      });
    }
  },

  execute: (tx, a, _actor, { name, version, anchors }, { approvalId, at }) =>
    decideDocument(
      tx,
      a,
      { kind: 'anchors', name, version, document: anchors },
      { approvalId, at, action: 'anchors.changed' },
    ),
};

export const withdrawAnchors: Operation<Readonly<{ name: string }>> = {
  name: 'anchors.withdraw',
  permission: 'anchors:change',
  subject: ({ name }) => `anchors:${name}`,

  check: (_tx, a, _actor, { name }) => {
    if (currentAnchors(a, name) === undefined) throw notFound('set of trust anchors');
    const user = currentLabels(a).find((label) => label.anchors.includes(name));
    if (user !== undefined) {
      throw new AuthorityError('conflict', `the label ${user.name} takes this set; change it first`, {
        code: 'anchorsInUse',
      });
    }
    return Promise.resolve();
  },

  execute: (_tx, a, _actor, { name }, { approvalId, at }) =>
    Promise.resolve(withdrawDocument(a, { kind: 'anchors', name }, { approvalId, at, action: 'anchors.withdrawn' })),
};
