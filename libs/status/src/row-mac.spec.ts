import { createSecretKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { checkRowMac, keyRowMac, keySealContext, tokenRowMac, tokenSealContext } from './row-mac.js';

const macKey = createSecretKey(Buffer.alloc(32, 1));
const key = {
  id: '0123456789abcd',
  releaseId: '01900000-0000-7000-8000-000000000001',
  environment: 'live' as const,
  audience: 'providers' as const,
  audienceValues: ['a', 'b'],
  predecessorId: null,
  expiresAt: new Date('2026-12-01T00:00:00Z'),
  ownerOrgId: 'owner',
  issuerOrgId: 'issuer',
};
const token = {
  id: '0123456789abcd',
  organizationId: 'org',
  name: 'build server',
  kind: 'machine' as const,
  personId: null,
  createdBy: 'somebody',
  roles: ['officer'],
  predecessorId: null,
  expiresAt: null,
};

describe('the MAC and the sealing of a row', () => {
  const changes: Partial<typeof key>[] = [
    { id: '0123456789abce' },
    { releaseId: 'other' },
    { environment: 'test' as never },
    { audience: 'all' as never },
    { audienceValues: ['a'] },
    { audienceValues: ['a', 'b', 'c'] },
    { predecessorId: 'x' as never },
    { expiresAt: new Date('2026-12-01T00:00:00.001Z') },
    { ownerOrgId: 'issuer' },
    { issuerOrgId: 'owner' },
  ];
  test.each(changes)('of a key cover %j', (change) => {
    expect(keyRowMac(macKey, { ...key, ...change })).not.toEqual(keyRowMac(macKey, key));
    expect(keySealContext({ ...key, ...change })).not.toEqual(keySealContext(key));
  });

  test('cover every field that is fixed about a key', () => {
    const covered = new Set(changes.flatMap((change) => Object.keys(change)));
    expect([...covered].sort()).toEqual(Object.keys(key).sort());
  });

  test.each([
    { id: 'x' },
    { organizationId: 'x' },
    { name: 'x' },
    { kind: 'bootstrap' as never },
    { personId: 'x' as never },
    { createdBy: 'x' },
    { roles: ['officer', 'admin'] },
    { predecessorId: 'x' as never },
    { expiresAt: new Date(0) as never },
  ])('of a token cover %j', (change) => {
    expect(tokenRowMac(macKey, { ...token, ...change })).not.toEqual(tokenRowMac(macKey, token));
    expect(tokenSealContext({ ...token, ...change })).not.toEqual(tokenSealContext(token));
  });

  test('do not depend on what changes in a life: status and end of retirement', () => {
    const row = { ...key, status: 'revoked', endsAt: new Date(), statusBefore: 'active' };
    expect(keyRowMac(macKey, row)).toEqual(keyRowMac(macKey, key));
  });
});

test('a MAC that is not the computed one is refused, whatever its length', () => {
  const mac = keyRowMac(macKey, key);
  expect(() => checkRowMac(mac, mac, 'key')).not.toThrow();
  const other = keyRowMac(createSecretKey(Buffer.alloc(32, 2)), key);
  for (const wrong of [other, Buffer.alloc(0), mac.subarray(1), Buffer.concat([mac, Buffer.of(0)])]) {
    expect(() => checkRowMac(wrong, mac, 'key')).toThrow(expect.objectContaining({ kind: 'internal', code: 'rowMac' }));
  }
});
