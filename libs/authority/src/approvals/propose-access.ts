import type { Actor, AuthorityContext } from '../context.js';
import type { AnchorSettings } from './change-anchors.js';
import type { LabelSettings } from './change-label.js';
import { propose, type Proposed } from './propose.js';

/** Makes the label, or lets it offer this from then on. Throws `invalid` for what no label may be. */
export function proposeLabelChange(
  a: AuthorityContext,
  actor: Actor,
  name: string,
  label: LabelSettings,
): Promise<Proposed> {
  const version = (a.follower.index.document('label', name)?.version ?? 0) + 1;
  return propose(a, actor, 'label.change', { name, version, label });
}

export function proposeLabelWithdrawal(a: AuthorityContext, actor: Actor, name: string): Promise<Proposed> {
  return propose(a, actor, 'label.withdraw', { name });
}

/** Makes the set, or lets it say this from then on. Throws `invalid` for what no set may be. */
export function proposeAnchorsChange(
  a: AuthorityContext,
  actor: Actor,
  name: string,
  anchors: AnchorSettings,
): Promise<Proposed> {
  const version = (a.follower.index.document('anchors', name)?.version ?? 0) + 1;
  return propose(a, actor, 'anchors.change', { name, version, anchors });
}

export function proposeAnchorsWithdrawal(a: AuthorityContext, actor: Actor, name: string): Promise<Proposed> {
  return propose(a, actor, 'anchors.withdraw', { name });
}
