import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  addCheckpointBody,
  consistencyProof,
  readCosignatures,
  readKnownSize,
  requireContinuation,
  storedHashes,
  type NoteKey,
  type WitnessTarget,
} from '#audit';
import { AuthorityError } from '#kernel';
import { newestWitnessed, type Database } from '#store';
import type { WorkerDeps } from './deps.js';
import { post, type PostAnswer } from './http-post.js';

export interface DeliveryParts {
  database: Database;
  /** Of the log. */
  key: NoteKey;
  replaceFile: WorkerDeps['replaceFile'];
  signal: AbortSignal;
}

/** What is delivered: a checkpoint as it was signed. */
export interface Delivered {
  size: number;
  note: string;
}

/**
 * Brings a checkpoint to one target; cosignature lines where it gives such. Throws `unavailable` to be tried again, and
 * `internal` with code `auditTreeBroken` where the target knows a tree that ours does not continue.
 */
export async function deliver(parts: DeliveryParts, target: WitnessTarget, checkpoint: Delivered): Promise<string> {
  switch (target.kind) {
    case 'file':
      await writeCheckpoint(parts, target.path, checkpoint);
      return '';
    case 'webhook': {
      const { status } = await post(target.url, 'text/plain; charset=utf-8', checkpoint.note, parts.signal);
      if (status < 200 || status > 299) throw refusal(target, status);
      return '';
    }
    case 'witness':
      return addCheckpoint(parts, target, checkpoint);
    default:
      return target satisfies never;
  }
}

/** Replaces the file, and keeps each checkpoint beside it as `<path>.d/<size>`. What lies there must be continued. */
async function writeCheckpoint(parts: DeliveryParts, file: string, { size, note }: Delivered): Promise<void> {
  const before = await readFile(file, 'utf8').catch(() => undefined);
  if (before !== undefined) {
    await parts.database.transaction((tx) => requireContinuation(storedHashes(tx), parts.key, before, size));
  }
  try {
    await mkdir(`${file}.d`, { recursive: true, mode: 0o755 });
    await parts.replaceFile(path.join(`${file}.d`, String(size)), note, 0o644);
    await parts.replaceFile(file, note, 0o644);
  } catch (cause) {
    throw new AuthorityError('unavailable', `${file} cannot be written`, { cause });
  }
}

/** C2SP tlog-witness: first from the size that the witness took last, as far as we know; then from the size it tells. */
async function addCheckpoint(
  parts: DeliveryParts,
  target: WitnessTarget & { kind: 'witness' },
  checkpoint: Delivered,
): Promise<string> {
  const known = await parts.database.transaction((tx) => newestWitnessed(tx, target.name));
  let answer = await submit(parts, target, checkpoint, known);
  const told = answer.status === 409 ? readKnownSize(answer.text) : undefined;
  if (told !== undefined && told > checkpoint.size) {
    const what = `${target.name} has cosigned ${told} leaves of it, ${checkpoint.size} are there`;
    throw new AuthorityError('internal', `the audit tree is not as it was: ${what}`, { code: 'auditTreeBroken' });
  }
  if (told !== undefined && told !== known) answer = await submit(parts, target, checkpoint, told);
  if (answer.status === 422) {
    const what = `${target.name} finds that it does not continue what it cosigned`;
    throw new AuthorityError('internal', `the audit tree is not as it was: ${what}`, { code: 'auditTreeBroken' });
  }
  if (answer.status !== 200) throw refusal(target, answer.status);
  return readCosignatures(answer.text, checkpoint.note, target.verifier).join('\n');
}

async function submit(
  { database, signal }: DeliveryParts,
  { url }: WitnessTarget & { kind: 'witness' },
  { size, note }: Delivered,
  oldSize: number,
): Promise<PostAnswer> {
  const proof =
    oldSize === 0 ? [] : await database.transaction((tx) => consistencyProof(storedHashes(tx), oldSize, size));
  const target = new URL(`${url.href.replace(/\/+$/, '')}/add-checkpoint`);
  return post(target, 'text/plain; charset=utf-8', addCheckpointBody(oldSize, proof, note), signal);
}

const refusal = (target: WitnessTarget, status: number) =>
  new AuthorityError('unavailable', `${target.name} answered with HTTP status ${status}`);
