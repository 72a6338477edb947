import type { AuthorityContext } from '#authority';
import { profiles, type Profile } from '#policy';
import type { DocumentEntry } from '#status';

/** The context as it would be after two people had changed the profile `device` so. */
export function withProfile(a: AuthorityContext, change: Partial<Profile>): AuthorityContext {
  const device = profiles(a.lifetimes).device;
  const entry: DocumentEntry = { version: device.version, status: 'v1', document: { ...device, ...change }, seq: 1 };
  const document: AuthorityContext['follower']['index']['document'] = (kind, name) =>
    kind === 'profile' && name === 'device' ? entry : a.follower.index.document(kind, name);
  const index = new Proxy(a.follower.index, {
    get: (target, member) => {
      const value: unknown = member === 'document' ? document : Reflect.get(target, member);
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value;
    },
  });
  const { follower } = a;
  return {
    ...a,
    follower: {
      index,
      catchUp: (seq) => follower.catchUp(seq),
      assertFresh: (ms) => {
        follower.assertFresh(ms);
      },
    },
  };
}
