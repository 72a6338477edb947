import { appendAudit } from '#audit';
import type { Clock } from '#kernel';
import { newId } from '#store';
import type { Transactor } from '../transactor.js';
import type { Rewrapped } from './rewrap-verifiers.js';

/** That stored values moved to another version of a key, or that one was retired: in the audit log, by name and number alone. */
export async function recordRotation(
  database: Transactor,
  clock: Clock,
  of: { secret: string; step: 'rewrap' | 'retire'; version: number } & Rewrapped,
): Promise<void> {
  const { secret, ...rest } = of;
  await database.transaction((tx) =>
    appendAudit(tx, {
      at: clock.now(),
      actor: 'system:host',
      action: 'secret.rotated',
      subject: `secret:${secret}`,
      outcome: 'success',
      requestId: newId(clock),
      detail: rest,
    }),
  );
}
