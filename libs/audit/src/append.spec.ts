import { expect, test } from '@jest/globals';
import { AUDIT_ACTIONS, canonicalAudit, type AuditEntry } from './append.js';

const entry: AuditEntry = {
  at: new Date('2026-03-01T12:00:00.123Z'),
  actor: 'operator:abc',
  action: 'key.revoked',
  subject: 'key:xyz',
  outcome: 'success',
  requestId: 'r1',
  detail: { to: 'revoked', from: 'active', absent: undefined },
  issuerOrgId: 'org',
};

test('an entry has one form of bytes, fixed for ever: what was written can be checked later', () => {
  expect(canonicalAudit(entry)).toBe(
    '{"action":"key.revoked","actor":"operator:abc","at":"2026-03-01T12:00:00.123Z","detail":{"from":"active","to":"revoked"},' +
      '"issuerOrgId":"org","outcome":"success","ownerOrgId":null,"requestId":"r1","subject":"key:xyz","v":1}',
  );
});

test('every member of an entry is covered: none can be changed without changing the bytes', () => {
  const base = canonicalAudit(entry);
  const changes: Partial<AuditEntry>[] = [
    { at: new Date('2026-03-01T12:00:00.124Z') },
    { actor: 'x' },
    { action: 'key.resumed' },
    { subject: 'x' },
    { outcome: 'refused' },
    { requestId: 'x' },
    { detail: {} },
    { ownerOrgId: 'x' },
    { issuerOrgId: null },
  ];
  for (const change of changes) expect(canonicalAudit({ ...entry, ...change })).not.toBe(base);
  expect(Object.keys(entry).sort()).toEqual(
    [...new Set([...Object.keys(entry), ...changes.flatMap((one) => Object.keys(one))])]
      .filter((name) => name !== 'ownerOrgId')
      .sort(),
  );
});

test('actions are of the form <noun>.<what was done>, each listed once', () => {
  expect(new Set(AUDIT_ACTIONS).size).toBe(AUDIT_ACTIONS.length);
  for (const action of AUDIT_ACTIONS) expect(action).toMatch(/^[a-z][A-Za-z]+\.[a-z][A-Za-z]+$/);
});
