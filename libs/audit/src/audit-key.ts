import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { encodeParts, open, seal, reseal, type KeyRing, type SealingKey } from '#credential';
import { AuthorityError } from '#kernel';
import { findAuditKey, findSealedAuditKey, insertAuditKey, replaceSealedAuditKey, type Tx } from '#store';
import { ED25519, noteKey, rawPublicKey, type NoteKey } from './signed-note.js';

/** The name of the log: first line of its checkpoints, and name of its key. */
export const auditOrigin = (authorityId: string): string => `touchmark/${authorityId}/audit`;

export interface AuditSigningKey {
  key: NoteKey;
  privateKey: KeyObject;
}

/** Makes the key that checkpoints are signed with, once; its private part is sealed under `kek` (secrets/audit.kek). */
export async function ensureAuditKey(tx: Tx, authorityId: string, kek: SealingKey): Promise<void> {
  if ((await findAuditKey(tx)) !== undefined) return;
  const pair = generateKeyPairSync('ed25519');
  const name = auditOrigin(authorityId);
  const publicKey = rawPublicKey(pair.publicKey);
  const der = pair.privateKey.export({ type: 'pkcs8', format: 'der' });
  await insertAuditKey(tx, { name, publicKey, sealedPrivate: seal(kek, der, context(name, publicKey)) });
  der.fill(0);
}

/** What checks the log's checkpoints; undefined before the first start has made it. */
export async function readAuditVerifier(tx: Tx): Promise<NoteKey | undefined> {
  const row = await findAuditKey(tx);
  return row === undefined ? undefined : noteKey(row.name, ED25519, row.publicKey);
}

/** Throws `unavailable` where there is none yet, `internal` where the row is not the one that was sealed. */
export async function openAuditKey(tx: Tx, kek: SealingKey): Promise<AuditSigningKey> {
  const row = await findSealedAuditKey(tx);
  if (row === undefined) {
    throw new AuthorityError('unavailable', 'there is no key for audit checkpoints: run "touchmark init" once');
  }
  const der = open(kek, row.sealedPrivate, context(row.name, row.publicKey));
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  der.fill(0);
  return { key: noteKey(row.name, ED25519, row.publicKey), privateKey };
}

/** Seals the key under the version in use. False where it is already; throws `internal` where it opens under none. */
export async function resealAuditKey(tx: Tx, ring: KeyRing): Promise<boolean> {
  const row = await findSealedAuditKey(tx);
  const sealed = row && reseal(ring, row.sealedPrivate, context(row.name, row.publicKey));
  if (sealed === undefined) return false;
  await replaceSealedAuditKey(tx, sealed);
  return true;
}

function context(name: string, publicKey: Buffer): Buffer {
  return encodeParts(['touchmark:audit-key', name, publicKey]);
}
