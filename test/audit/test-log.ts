import {
  appendAudit,
  auditOrigin,
  ensureAuditKey,
  openAuditKey,
  readCheckpoint,
  readLines,
  Sealer,
  verifyExport,
  type AuditEntry,
  type AuditSigningKey,
  type CheckpointMemory,
  type SealerParts,
} from '#audit';
import { systemClock } from '#kernel';
import type { Database, Tx } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

export const AUDIT_KEK = Buffer.alloc(32, 5);
export const AUTHORITY = '0197b2c0-0000-7000-8000-00000000000a';

/** A database with the schema and a log that nobody seals but the spec. */
export interface TestLog {
  db: TestDatabase;
  worker: Database;
  signing: AuditSigningKey;
  memory: CheckpointMemory & { note: string | undefined };
  sealer: Sealer;
  /** Of its own, with what is given instead. */
  makeSealer(parts?: Partial<SealerParts>): Sealer;
  write(count: number, entry?: Partial<AuditEntry>): Promise<void>;
  /** Until nothing is left; the number of events. */
  sealAll(sealer?: Sealer): Promise<number>;
  checkpoint(size?: number): Promise<{ size: number; note: string }>;
  lines(size: number): Promise<Buffer[]>;
  /** Offline, with the log's own key. */
  verify(lines: readonly Buffer[], note: string): Promise<unknown>;
  stop(): Promise<void>;
}

export async function startTestLog(): Promise<TestLog> {
  const db = await startTestDatabase({ upTo: 'schema' });
  const owner = await db.as('owner');
  await owner.transaction((tx) => ensureAuditKey(tx, AUTHORITY, AUDIT_KEK));
  const worker = await db.as('worker');
  const signing = await worker.transaction((tx) => openAuditKey(tx, AUDIT_KEK));
  const memory = keptInMemory();
  const makeSealer: TestLog['makeSealer'] = (parts = {}) =>
    new Sealer({ database: worker, clock: systemClock, signing, memory, ...parts });
  const sealer = makeSealer();
  let written = 0;
  return {
    ...{ db, worker, signing, memory, sealer, makeSealer },
    async write(count, entry = {}) {
      await worker.transaction(async (tx) => {
        for (let i = 0; i < count; i++) await appendAudit(tx, { ...event(written++), ...entry });
      });
    },
    async sealAll(by = sealer) {
      let sum = 0;
      for (let added = 1; added > 0; sum += added) added = await by.seal();
      return sum;
    },
    checkpoint: (size) => worker.transaction((tx) => readCheckpoint(tx, size)),
    lines: (size) => worker.transaction((tx) => readAll(tx, size)),
    verify: (lines, note) => verifyExport(fileOf(lines), signing.key, note),
    stop: () => db.stop(),
  };
}

export const ORIGIN = auditOrigin(AUTHORITY);

export function keptInMemory(note?: string): TestLog['memory'] {
  return {
    note,
    read() {
      return Promise.resolve(this.note);
    },
    write(next) {
      this.note = next;
      return Promise.resolve();
    },
  };
}

export function event(n: number): AuditEntry {
  return {
    at: new Date(Date.UTC(2026, 0, 1) + n * 1000 + 7),
    actor: `operator:${n % 5}`,
    action: n % 3 === 0 ? 'key.issued' : 'device.registered',
    subject: `key:${n}`,
    outcome: n % 7 === 0 ? 'refused' : 'success',
    requestId: `request-${n}`,
    detail: { n, text: 'line\nend "quoted" \u20ac' },
    ownerOrgId: n % 2 === 0 ? '0197b2c0-0000-7000-8000-000000000001' : null,
    issuerOrgId: '0197b2c0-0000-7000-8000-000000000002',
  };
}

export async function readAll(tx: Tx, size: number): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for (let from = 0; from < size; from += 1000) all.push(...(await readLines(tx, from, Math.min(size, from + 1000))));
  return all;
}

/** In pieces that end anywhere, as a file is read. */
export async function* fileOf(lines: readonly Buffer[]): AsyncGenerator<Buffer> {
  const lineEnd = Buffer.from('\n');
  const bytes = Buffer.concat(lines.flatMap((line) => [line, lineEnd]));
  for (let at = 0; at < bytes.length; at += 65_521) yield bytes.subarray(at, at + 65_521);
}
