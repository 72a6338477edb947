import {
  findVendorNamed,
  insertDeliveries,
  insertNotices,
  listenersOf,
  lockNoticeCursor,
  moveNoticeCursor,
  newId,
  sealedEvents,
  sealedSize,
  type Listener,
  type NewDelivery,
  type NewNotice,
  type SealedEvent,
  type Tx,
} from '#store';
import { CANARY_VENDOR } from '../canary.js';
import type { AuthorityContext } from '../context.js';
import { listensTo, typesOf, type EventType } from './event-types.js';
import { noticePayload, readSealedEntry, type SealedEntry } from './notice-payload.js';

const BLOCK = 500;

interface Told {
  eventId: string;
  entry: SealedEntry;
  types: readonly EventType[];
}

/**
 * Makes notices and deliveries of the audit entries sealed since the last time, exactly once: both are written in the
 * transaction that moves the cursor. Returns how many deliveries were made; 0 too while another process is at it.
 */
export async function dispatchNotices(
  a: Pick<AuthorityContext, 'database' | 'clock' | 'authorityId'>,
): Promise<number> {
  let made = 0;
  for (;;) {
    const block = await a.database.transaction((tx) => dispatchBlock(tx, a));
    made += block.deliveries;
    if (block.last) return made;
  }
}

async function dispatchBlock(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'authorityId'>,
): Promise<{ deliveries: number; last: boolean }> {
  const from = await lockNoticeCursor(tx);
  const size = from === undefined ? 0 : await sealedSize(tx);
  if (from === undefined || size <= from) return { deliveries: 0, last: true };
  const canary = await findVendorNamed(tx, CANARY_VENDOR);
  const told = (await sealedEvents(tx, from, BLOCK))
    .flatMap((event) => toldOf(event, a.authorityId))
    // What the inner canary does every ten minutes is told by its result alone.
    .filter(({ entry }) => canary === undefined || !entry.organizationIds.includes(canary));
  const organizations = [...new Set(told.flatMap(({ entry }) => entry.organizationIds))];
  const listeners = Map.groupBy(
    organizations.length === 0 ? [] : await listenersOf(tx, organizations),
    ({ organizationId }) => organizationId,
  );
  const written = told.map((one) => addressed(a, one, listeners));
  const deliveries = written.flatMap((one) => one.deliveries);
  await insertNotices(
    tx,
    written.flatMap((one) => one.notices),
  );
  await insertDeliveries(tx, deliveries, a.clock.now());
  const next = Math.min(from + BLOCK, size);
  await moveNoticeCursor(tx, next);
  return { deliveries: deliveries.length, last: next === size };
}

function toldOf({ eventId, canonical }: SealedEvent, authorityId: string): Told[] {
  const entry = readSealedEntry(canonical);
  if (entry === undefined) return [];
  const types = typesOf(entry);
  if (types.length === 0) return [];
  // What is nobody's concerns the authority itself.
  const organizationIds = entry.organizationIds.length === 0 ? [authorityId] : entry.organizationIds;
  return [{ eventId, entry: { ...entry, organizationIds }, types }];
}

function addressed(
  a: Pick<AuthorityContext, 'clock'>,
  { eventId, entry, types }: Told,
  listeners: ReadonlyMap<string, readonly Listener[]>,
): { notices: NewNotice[]; deliveries: NewDelivery[] } {
  const notices = new Map<string, NewNotice>();
  const deliveries: NewDelivery[] = [];
  for (const organizationId of entry.organizationIds) {
    for (const listener of listeners.get(organizationId) ?? []) {
      if (BigInt(eventId) <= BigInt(listener.since)) continue;
      const type = types.find((one) => listensTo(listener.events, one));
      if (type === undefined) continue;
      const key = `${organizationId} ${type}`;
      const notice = notices.get(key) ?? makeNotice(a, { eventId, entry, type, organizationId });
      notices.set(key, notice);
      deliveries.push({
        id: newId(a.clock),
        noticeId: notice.id,
        organizationId,
        webhookId: listener.kind === 'webhook' ? listener.id : null,
        subscriptionId: listener.kind === 'mail' ? listener.id : null,
      });
    }
  }
  return { notices: [...notices.values()], deliveries };
}

/** A notice of its own per organization: its id tells nobody who else was told. */
export function makeNotice(
  a: Pick<AuthorityContext, 'clock'>,
  of: {
    eventId: string | null;
    entry: Pick<SealedEntry, 'at' | 'subject' | 'detail'>;
    type: EventType;
    organizationId: string;
  },
): NewNotice {
  const { eventId, entry, type, organizationId } = of;
  const id = newId(a.clock);
  const payload = noticePayload(type, id, entry);
  return { id, organizationId, type, subject: entry.subject, at: entry.at, eventId, payload };
}
