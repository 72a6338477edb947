import type { Config } from '#kernel';
import { signsElsewhere } from './local-signer.js';
import type { SecretHolder } from './secrets.js';

/** What can run for itself. `status` is the responder. */
export type Plane = 'est' | 'api' | 'status' | 'worker' | 'signer';
/** In the order in which they start: each may need those before it. */
export const ORDER: readonly Plane[] = ['signer', 'worker', 'status', 'est', 'api'];
/** What runs where nobody says what: the signer is part of those that need it. */
export const ALL_PLANES: readonly Plane[] = ORDER.filter((plane) => plane !== 'signer');

/** Whose database role a plane has, and whether it signs. */
export const ROLES = {
  est: { role: 'est', signs: true },
  api: { role: 'api', signs: true },
  worker: { role: 'worker', signs: true },
  status: { role: 'responder', signs: false },
  signer: { role: 'signer', signs: false },
} as const satisfies Record<Plane, { role: SecretHolder; signs: boolean }>;

/** Where a signer of its own runs, nobody else opens the CA keys, but whoever makes the first CAs. */
export function holdersOf(config: Config, planes: readonly Plane[], setsUp: boolean): SecretHolder[] {
  const holders = new Set<SecretHolder>(setsUp ? ['migrate', 'worker', 'signer'] : []);
  for (const plane of planes) {
    const { role, signs } = ROLES[plane];
    holders.add(role);
    if (plane === 'signer') holders.add('signerService');
    if (signs) holders.add(signsElsewhere(config) ? 'signerClient' : 'signer');
  }
  return [...holders];
}
