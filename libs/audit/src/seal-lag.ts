import { unsealedEvents, type Tx } from '#store';

/** Seconds for which the oldest event waits for its leaf, and how many wait; for metrics and readiness. */
export async function sealLag(tx: Tx): Promise<{ unsealed: number; seconds: number }> {
  const { count, oldestSeconds } = await unsealedEvents(tx);
  return { unsealed: count, seconds: oldestSeconds };
}
