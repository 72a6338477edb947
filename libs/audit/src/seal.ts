import type { Clock } from '#kernel';
import {
  findCheckpoint,
  findPassedOver,
  findUnsealed,
  insertCheckpoint,
  lastLeaf,
  lockSealer,
  sealHorizon,
  type Database,
  type SealHorizon,
  type Tx,
  type UnsealedEvent,
} from '#store';
import type { AuditSigningKey } from './audit-key.js';
import { formatCheckpoint, openCheckpoint } from './checkpoint.js';
import { auditLine } from './line.js';
import { consistencyProof, leafHash, treeRoot, verifyConsistency, type HashReader } from './merkle.js';
import { signNote, type NoteKey } from './signed-note.js';
import { growTree, storedHashes, treeBroken } from './stored-hashes.js';

/** At most so many events wait for one checkpoint. */
export const BATCH = 256;
/** Between taking a number and getting a transaction's own, an insert is seen by nobody: as long as this at most. */
const SETTLE_MS = 10_000;
const CHECK_AGAIN_MS = 60_000;
const SEARCH_AGAIN_MS = 3_600_000;
const SEARCH_WINDOW = 50_000n;

/** The newest checkpoint that this machine signed, kept outside the database. */
export interface CheckpointMemory {
  read(): Promise<string | undefined>;
  /** On disk when it resolves. */
  write(note: string): Promise<void>;
}

export interface SealerParts {
  /** As tm_worker. */
  database: Database;
  clock: Clock;
  signing: AuditSigningKey;
  memory: CheckpointMemory;
}

/**
 * Puts events into the tree and signs what it then is. First the leaves are committed, then the checkpoint over them: a
 * checkpoint that was signed and not stored is signed again over the same leaves. Several sealers take turns.
 *
 * Throws `internal`, code `auditTreeBroken`, instead of signing a tree that does not continue the last one.
 */
export class Sealer {
  /** Every event up to here has a leaf. */
  private settled: bigint | undefined;
  /** What `settled` becomes once time and transactions have passed. */
  private next: { event: bigint; transaction: bigint; at: number } | undefined;
  /** The search through all that is settled: for an event that everything else missed. */
  private search: { after: bigint; end: bigint } | undefined;
  private searchedAt = 0;
  /** When the tree was last found to be as it was signed. */
  private checkedAt: number | undefined;

  constructor(private readonly parts: SealerParts) {}

  /** One batch; the number of events in it. The tree is checked by each call that finds events, and every minute. */
  async seal(): Promise<number> {
    const added = await this.parts.database.transaction((tx) => this.grow(tx));
    const now = this.parts.clock.monotonicMs();
    if (added > 0 || this.checkedAt === undefined || now - this.checkedAt >= CHECK_AGAIN_MS) {
      this.checkedAt = undefined;
      await this.parts.database.transaction((tx) => signCheckpoint(tx, this.parts));
      this.checkedAt = now;
    }
    return added;
  }

  private async grow(tx: Tx): Promise<number> {
    const size = await lockTree(tx);
    const horizon = await sealHorizon(tx);
    const events = await this.take(tx, horizon);
    if (events.length === 0) return 0;
    const leaves = events.map((event) => leafHash(auditLine(event)));
    await growTree(
      tx,
      size,
      events.map(({ id }) => id),
      leaves,
    );
    return events.length;
  }

  /** New ones, and those that took a lower number and came later. */
  private async take(tx: Tx, horizon: SealHorizon): Promise<UnsealedEvent[]> {
    const { newestEvent, newestSealed } = horizon;
    // At first nothing is known of the newest: they are looked at again until they have settled.
    this.settled ??= this.startSearch(lowered(BigInt(newestSealed)));
    const late = await findPassedOver(tx, String(this.settled), newestSealed, BATCH);
    const lost = late.length < BATCH ? await this.searchOn(tx, BATCH - late.length) : [];
    const found = [...late, ...lost];
    const fresh =
      found.length < BATCH && BigInt(newestEvent) > BigInt(newestSealed)
        ? await findUnsealed(tx, newestSealed, newestEvent, BATCH - found.length)
        : [];
    if (late.length === 0) this.settle(horizon);
    return [...found, ...fresh].sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
  }

  /** `late` was empty: what was noted long enough ago, when every transaction of then has ended, is settled. */
  private settle({ newestSealed, oldestRunning, nextTransaction }: SealHorizon): void {
    const at = this.parts.clock.monotonicMs();
    const { next } = this;
    if (next !== undefined) {
      if (at - next.at < SETTLE_MS || BigInt(oldestRunning) < next.transaction) return;
      this.settled = next.event;
    }
    this.next = { event: BigInt(newestSealed), transaction: BigInt(nextTransaction), at };
  }

  private startSearch(end: bigint): bigint {
    this.search = { after: 0n, end };
    this.searchedAt = this.parts.clock.monotonicMs();
    return end;
  }

  private async searchOn(tx: Tx, limit: number): Promise<UnsealedEvent[]> {
    const due = this.parts.clock.monotonicMs() - this.searchedAt >= SEARCH_AGAIN_MS;
    if (this.search === undefined && due && this.settled !== undefined) this.startSearch(this.settled);
    if (this.search === undefined) return [];
    const { after, end } = this.search;
    const upTo = after + SEARCH_WINDOW < end ? after + SEARCH_WINDOW : end;
    const found = await findPassedOver(tx, String(after), String(upTo), limit);
    // Onwards only past what is known to hold none: what was found here is not committed yet.
    if (found.length === 0) this.search = upTo < end ? { after: upTo, end } : undefined;
    return found;
  }
}

const lowered = (event: bigint): bigint => (event > SEARCH_WINDOW ? event - SEARCH_WINDOW : 0n);

/** A checkpoint over every leaf, where there is none yet; each step as `Sealer` tells. */
async function signCheckpoint(tx: Tx, { signing, memory }: SealerParts): Promise<void> {
  const size = await lockTree(tx);
  const reader = storedHashes(tx);
  const stored = await findCheckpoint(tx);
  const remembered = await memory.read();
  for (const note of new Set([remembered, stored?.note])) {
    if (note !== undefined) await requireContinuation(reader, signing.key, note, size);
  }
  if (size === 0 || (stored?.size ?? 0) === size) return;
  const root = await treeRoot(reader, size);
  const note = signNote(formatCheckpoint({ origin: signing.key.name, size, root }), signing.key, signing.privateKey);
  await memory.write(note);
  await insertCheckpoint(tx, size, note);
}

/** Number of leaves. */
async function lockTree(tx: Tx): Promise<number> {
  const size = await lockSealer(tx);
  const last = await lastLeaf(tx);
  if (last !== size - 1) throw treeBroken(`the sealer has counted ${size} leaves, the last one is ${last}`);
  return size;
}

/**
 * Proves that the tree of `size` leaves continues what `note` says: its signature holds, its root is computed again from
 * stored hashes, and a consistency proof leads from there to now. Throws `auditTreeBroken`.
 */
export async function requireContinuation(reader: HashReader, key: NoteKey, note: string, size: number): Promise<void> {
  const before = openSigned(note, key);
  if (before.size > size) throw treeBroken(`${before.size} leaves were signed, ${size} are there: it was set back`);
  if (!(await treeRoot(reader, before.size)).equals(before.root)) {
    throw treeBroken(`its first ${before.size} leaves are not those that were signed`);
  }
  if (before.size === 0) return;
  const proof = await consistencyProof(reader, before.size, size);
  if (!verifyConsistency(before.size, size, proof, before.root, await treeRoot(reader, size))) {
    throw treeBroken(`what follows ${before.size} signed leaves does not continue them`);
  }
}

function openSigned(note: string, key: NoteKey) {
  try {
    return openCheckpoint(note, key);
  } catch (cause) {
    throw treeBroken(`a checkpoint is not one that this log signed (${String((cause as Error).message)})`);
  }
}
