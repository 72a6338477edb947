import { AuthorityError } from '#kernel';
import { checkRowMac, keyImportRowMac } from '#status';
import { countOfImport, latestStatuses, lockOfImport, type CertificateRow, type StatusChange, type Tx } from '#store';
import { requireImport, subjectOf } from '../blocked-keys/import-keys.js';
import { CA_PROFILES, certificateAudit, revocation, revokeHeirs } from '../certificates.js';
import type { StatusAudit } from '../change-status.js';
import type { AuthorityContext } from '../context.js';
import type { Operation } from './operation.js';

/** `certificates`: how many there were when it was proposed; more than that were looked at by nobody. */
export type BlockedKeyRevocation = Readonly<{ importId: string; certificates: number }>;

/** What one transaction revokes; an import has few keys, and few certificates share one. */
const MOST = 5000;

/**
 * Revokes, as compromised, every certificate that carries a key of an import, and what was obtained with one. A CA is none of them: it
 * is revoked as an issuer.
 */
export const revokeBlockedKeys: Operation<BlockedKeyRevocation> = {
  name: 'blockedkey.revoke',
  permission: 'blockedKey:import',
  subject: ({ importId }) => subjectOf(importId),

  async check(tx, a, _actor, { importId, certificates }) {
    await requireOwn(tx, a, importId);
    const count = await countOfImport(tx, importId, a.clock.now(), CA_PROFILES);
    if (count > certificates || count > MOST) {
      throw new AuthorityError('conflict', `${count} certificates carry these keys, ${certificates} were counted`, {
        code: 'tooMany',
      });
    }
  },

  async execute(tx, a, _actor, { importId }, { approvalId, at }) {
    await requireOwn(tx, a, importId);
    const rows = await lockOfImport(tx, importId, at, CA_PROFILES);
    const { audits, changes } = await revokeAll(tx, rows, importId, at);
    return {
      audits: [
        {
          action: 'blockedKeys.revoked',
          subject: subjectOf(importId),
          ownerOrgId: null,
          issuerOrgId: a.authorityId,
          detail: { approvalId, certificates: changes.length },
        },
        ...audits,
      ],
      changes,
      result: { importId, certificates: changes.length },
    };
  },
};

/** A planted import revokes nothing. */
async function requireOwn(tx: Tx, a: Pick<AuthorityContext, 'macKey'>, importId: string): Promise<void> {
  const row = await requireImport(tx, importId);
  checkRowMac(row.mac, keyImportRowMac(a.macKey, row), `import ${importId}`);
}

async function revokeAll(
  tx: Tx,
  rows: readonly CertificateRow[],
  importId: string,
  at: Date,
): Promise<{ audits: StatusAudit[]; changes: StatusChange[] }> {
  const serials = rows.map((row) => row.serial.toString('hex'));
  const latest = await latestStatuses(tx, 'certificate', serials);
  const change = { status: 'revoked', reason: 'keyCompromise', at, invalidityDate: null };
  const audits: StatusAudit[] = [];
  const changes = new Map<string, StatusChange>();
  for (const row of rows) {
    const own = revocation(row, latest.get(row.serial.toString('hex')), change);
    changes.set(own.subject, own);
    audits.push(certificateAudit(row, 'certificate.revoked', { reason: 'keyCompromise', importId }));
  }
  for (const row of rows) {
    const heirs = await revokeHeirs(tx, row, at);
    for (const [i, heir] of heirs.changes.entries()) {
      if (changes.has(heir.subject)) continue;
      changes.set(heir.subject, heir);
      audits.push(heirs.audits[i] as StatusAudit);
    }
  }
  return { audits, changes: [...changes.values()] };
}
