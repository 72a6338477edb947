import { createHash } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { keyImportRowMac } from '#status';
import { countOfImport, findKeyImport, importKeys, insertKeyImport, newId, type Tx } from '#store';
import { propose, type Proposed } from '../approvals/propose.js';
import { CA_PROFILES } from '../certificates.js';
import { logStatus } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';

/** SHA-256 of each SubjectPublicKeyInfo, and why nobody is to have them certified. */
export interface KeyList {
  keys: readonly Buffer[];
  reason: string;
  /** Also propose to revoke what carries them; a second person approves it. */
  revoke: boolean;
}

export interface ImportedKeys {
  importId: string;
  added: number;
  /** Keys of the list that were blocked before. */
  known: number;
  /** Certificates with a key that was added, neither revoked nor past their end. */
  affected: number;
  proposed: Proposed | undefined;
}

/**
 * Blocks keys for good: nothing is certified for them from the commit on. A key cannot be taken out again. Whoever owns one makes
 * another; a list that can shrink would be worth as much as the last person who shrank it.
 */
export async function importBlockedKeys(a: AuthorityContext, actor: Actor, list: KeyList): Promise<ImportedKeys> {
  const unique = new Set(list.keys.map((key) => key.toString('hex')));
  const result = await a.database.transaction(
    async (tx) => {
      const at = a.clock.now();
      const facts = { id: newId(a.clock), reason: list.reason, actor: actor.id, createdAt: at };
      const added = await importKeys(
        tx,
        facts,
        [...unique].map((hex) => Buffer.from(hex, 'hex')),
      );
      const row = { ...facts, added: added.length, digest: digestOf(added) };
      await insertKeyImport(tx, { ...row, mac: keyImportRowMac(a.macKey, row) });
      const affected = await countOfImport(tx, row.id, at, CA_PROFILES);
      const known = unique.size - added.length;
      const detail = { reason: list.reason, added: added.length, known, affected, digest: row.digest.toString('hex') };
      const audit = { subject: subjectOf(row.id), ownerOrgId: null, issuerOrgId: a.authorityId, detail };
      await logStatus(tx, a, actor, at, [{ ...audit, action: 'blockedKeys.imported' }], []);
      return { importId: row.id, added: added.length, known, affected };
    },
    scopeOf(a, actor),
  );
  const wanted = list.revoke && result.affected > 0;
  return {
    ...result,
    proposed: wanted ? await proposeBlockedKeyRevocation(a, actor, result.importId) : undefined,
  };
}

/** Proposes to revoke, as compromised, what carries a key of this import. The proposal says how many certificates that are. */
export async function proposeBlockedKeyRevocation(
  a: AuthorityContext,
  actor: Actor,
  importId: string,
): Promise<Proposed> {
  const certificates = await a.database.transaction(
    async (tx) => {
      await requireImport(tx, importId);
      return countOfImport(tx, importId, a.clock.now(), CA_PROFILES);
    },
    scopeOf(a, actor),
  );
  if (certificates === 0) throw new AuthorityError('conflict', 'no good certificate carries a key of this import');
  return propose(a, actor, 'blockedkey.revoke', { importId, certificates });
}

export async function requireImport(tx: Tx, importId: string) {
  const row = await findKeyImport(tx, importId);
  if (!row) throw notFound('import of blocked keys');
  return row;
}

export const subjectOf = (importId: string): string => `blockedKeys:${importId}`;

/** Over the keys in their order, one after another, as the search computes it again. */
export const digestOf = (keys: readonly Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(keys)).digest();
