import { describe, expect, test } from '@jest/globals';
import { auditRow, type AuditEntry } from './append.js';
import { auditLine, missingLine, type AuditColumns } from './line.js';

const entry: AuditEntry = {
  at: new Date('2026-03-01T12:00:00.120Z'),
  actor: 'operator:abc',
  action: 'key.revoked',
  subject: 'key:xyz',
  outcome: 'success',
  requestId: 'r1',
  detail: { from: 'active', n: 3, list: [1, 'x', null] },
  issuerOrgId: '0197b2c0-0000-7000-8000-000000000001',
};
const written = auditRow(entry);
/** As the database gives it back. */
const row: AuditColumns = { ...written, at: '2026-03-01T12:00:00.120000Z' };

describe('the line of an event', () => {
  test('is its canonical bytes while nobody has changed it', () => {
    expect(auditLine(row).equals(written.canonical)).toBe(true);
  });

  const text = written.canonical.toString();
  const edits: [string, Partial<AuditColumns>][] = [
    ['at by a microsecond', { at: '2026-03-01T12:00:00.120001Z' }],
    ['at by a millisecond', { at: '2026-03-01T12:00:00.121000Z' }],
    ['at', { at: 'never' }],
    ['actor', { actor: 'operator:abd' }],
    ['action', { action: 'key.resumed' }],
    ['subject', { subject: 'key:xyZ' }],
    ['outcome', { outcome: 'refused' }],
    ['requestId', { requestId: '' }],
    ['ownerOrgId', { ownerOrgId: '0197b2c0-0000-7000-8000-000000000001' }],
    ['issuerOrgId', { issuerOrgId: null }],
    ['canonical: a member', { canonical: Buffer.from(text.replace('abc', 'abd')) }],
    ['canonical: the detail', { canonical: Buffer.from(text.replace('active', 'xctive')) }],
    ['canonical: the version', { canonical: Buffer.from(text.replace('"v":1', '"v":2')) }],
    ['canonical: white space', { canonical: Buffer.from(text.replace(':', ': ')) }],
    ['canonical: a line end', { canonical: Buffer.from(`${text}\n`) }],
    ['canonical: a second member', { canonical: Buffer.from(text.replace('{', '{"v":1,')) }],
    ['canonical: a member more', { canonical: Buffer.from(text.replace(/}$/, ',"w":1}')) }],
    ['canonical: not JSON', { canonical: Buffer.from([0xff, 0x0a]) }],
    ['canonical: empty', { canonical: Buffer.alloc(0) }],
  ];
  test.each(edits)('changes with %s', (_, edit) => {
    const line = auditLine({ ...row, ...edit });
    expect(line.equals(written.canonical)).toBe(false);
    expect(line.includes('\n')).toBe(false);
  });

  test('is another for each edit, and never that of an absent event', () => {
    const lines = edits.map(([, edit]) => auditLine({ ...row, ...edit }).toString());
    lines.push(missingLine(3, '7').toString(), missingLine(3, undefined).toString(), missingLine(4, '7').toString());
    expect(new Set(lines).size).toBe(lines.length);
  });
});

test('what else the database gives along changes nothing', () => {
  const more = { ...row, id: '7' };
  expect(auditLine(more).equals(written.canonical)).toBe(true);
});
