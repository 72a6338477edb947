import { expect, test } from '@jest/globals';
import { EVENT_TYPES } from './event-types.js';
import { noticePayload, readSealedEntry } from './notice-payload.js';

const entry = { at: new Date('2026-03-01T12:00:00.123Z'), subject: 'key:abc', detail: { days: 7, endsAt: 'x' } };

test('the payload is canonical JSON with type, timestamp and data', () => {
  expect(noticePayload('key.expiring', 'n1', entry).toString()).toBe(
    '{"data":{"days":7,"endsAt":"x","id":"n1","subject":"key:abc"},"timestamp":"2026-03-01T12:00:00.123Z","type":"key.expiring"}',
  );
});

test.each(EVENT_TYPES.map(({ type }) => type))('%s tells no member that is not in its list', (type) => {
  const detail = { actor: 'operator:x', secret: 's3cret', requestId: 'r', email: 'a@b.c', address: '192.0.2.1' };
  expect(JSON.parse(noticePayload(type, 'n', { ...entry, detail }).toString())).toEqual({
    type,
    timestamp: '2026-03-01T12:00:00.123Z',
    data: { id: 'n', subject: 'key:abc' },
  });
});

test('a credential in a member that may be told is cut out, a long text cut off, a structure left out', () => {
  const key = `tmk1_live_01tSaqXyBDHyM6_${'Ab1'.repeat(15)}`;
  const detail = { reason: `see ${key}`, from: 'x'.repeat(1000), to: { deep: key } };
  const text = noticePayload('key.revoked', 'n', { ...entry, detail }).toString();
  expect(text).not.toContain('Ab1Ab1');
  const { data } = JSON.parse(text) as { data: Record<string, string> };
  expect(data['from']).toHaveLength(300);
  expect(data['to']).toBeUndefined();
});

test('of an approval is told what it would do to what, not who proposed it', () => {
  const detail = {
    operation: 'ca.revoke',
    subject: 'issuer:x',
    digest: 'd',
    proposer: 'person:1',
    proposerPerson: '1',
  };
  const payload = noticePayload('approval.proposed', 'n', { ...entry, subject: 'approval:1', detail });
  expect((JSON.parse(payload.toString()) as { data: object }).data).toEqual({
    id: 'n',
    subject: 'approval:1',
    operation: 'ca.revoke',
    target: 'issuer:x',
    digest: 'd',
  });
});

test('detail cannot replace id and subject', () => {
  const { data } = JSON.parse(
    noticePayload('key.revoked', 'n', { ...entry, detail: { id: 'x', subject: 'y' } }).toString(),
  ) as { data: object };
  expect(data).toEqual({ id: 'n', subject: 'key:abc' });
});

test.each(['', '{', 'null', '[]', '{"v":1}', '{"at":"never","action":"a","subject":"s","outcome":"o","detail":{}}'])(
  'bytes that are no entry of ours are told to nobody: %p',
  (bytes) => {
    expect(readSealedEntry(Buffer.from(bytes))).toBeUndefined();
  },
);
