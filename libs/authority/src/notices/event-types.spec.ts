import { expect, test } from '@jest/globals';
import { AUDIT_ACTIONS } from '#audit';
import { EVENT_TYPES, isEventFilter, listensTo, typesOf } from './event-types.js';

const success = (action: string, detail: Record<string, unknown> = {}) =>
  typesOf({ action, outcome: 'success', detail });

test('every type but the test can come from an audit entry', () => {
  const reachable = new Set([
    ...AUDIT_ACTIONS.flatMap((action) => success(action)),
    ...success('certificate.issued', { supersedes: '01' }),
    ...success('key.revoked', { reason: 'keyCompromise' }),
  ]);
  const unreachable = EVENT_TYPES.map(({ type }) => type).filter((type) => !reachable.has(type));
  expect(unreachable).toEqual(['webhook.test']);
});

test('a certificate that follows another is told as a renewal, not as an issuance', () => {
  expect(success('certificate.issued', { supersedes: null })).toEqual(['certificate.issued']);
  expect(success('certificate.issued', { supersedes: '0a' })).toEqual(['certificate.renewed']);
});

test('a key that somebody else knows is told as leaked, or as revoked to who does not listen to that', () => {
  expect(success('key.revoked', { reason: 'keyCompromise' })).toEqual(['key.leaked', 'key.revoked']);
  expect(success('key.revoked', { reason: 'superseded' })).toEqual(['key.revoked']);
});

test.each(['refused', 'failed'])('what was %s is not told, but for the canary', (outcome) => {
  expect(typesOf({ action: 'key.issued', outcome, detail: {} })).toEqual([]);
  expect(typesOf({ action: 'canary.failed', outcome, detail: {} })).toEqual(['canary.failed']);
});

test.each([
  'authentication.failed',
  'person.signedIn',
  'token.issued',
  'webhook.created',
  'webhook.test',
  'toString',
  '',
])('%p is told to nobody', (action) => {
  expect(success(action)).toEqual([]);
});

test('filters are types, nouns and the star, nothing else', () => {
  for (const filter of ['*', 'key.*', 'key.revoked', 'webhook.test']) expect(isEventFilter(filter)).toBe(true);
  for (const filter of ['', 'key', 'key.', '*.revoked', 'nothing.*', '.*', 'key.*.*', 'toString', 'constructor.*'])
    expect(isEventFilter(filter)).toBe(false);
  expect(listensTo(['key.*'], 'key.leaked')).toBe(true);
  expect(listensTo(['key.*'], 'certificate.issued')).toBe(false);
  expect(listensTo(['*'], 'certificate.issued')).toBe(true);
  expect(listensTo(['certificate.issued'], 'certificate.renewed')).toBe(false);
});
