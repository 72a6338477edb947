import { expect, test } from '@jest/globals';
import { isMailAddress } from './mail-subscriptions.js';
import { composeMail, MAX_LINES } from './mail-text.js';

const item = (type: string, subject: string, detail: object = {}) => ({
  type,
  payload: Buffer.from(
    JSON.stringify({ type, timestamp: '2026-03-01T00:00:00.000Z', data: { id: 'n', subject, ...detail } }),
  ),
});

test('notices stand grouped by type, with what is told of each, and a count of the rest', () => {
  const items = [item('key.issued', 'key:a'), item('key.expiring', 'key:b', { days: 7 })];
  const { subject, text } = composeMail(
    new Map([
      ['key.issued', 3],
      ['key.expiring', 1],
    ]),
    items,
    'ops@example.test',
  );
  expect(subject).toBe('[Touchmark] 4 notices: key.expiring, key.issued');
  expect(text).toContain('key.expiring (1)\n  2026-03-01T00:00:00.000Z  key:b  days=7\n');
  expect(text).toContain('key.issued (3)\n  2026-03-01T00:00:00.000Z  key:a\n  and 2 more\n');
});

test('the subject stays short whatever happened', () => {
  const types = ['ca.expiring', 'key.issued', 'key.expired', 'device.revoked', 'canary.failed'];
  const counts = new Map(types.map((type) => [type, 1000]));
  expect(composeMail(counts, [], 'a@b.test').subject).toBe(
    '[Touchmark] 5000 notices: ca.expiring, canary.failed, device.revoked, ...',
  );
  expect(MAX_LINES).toBe(200);
});

test('control characters that others chose reach no mail', () => {
  const { text } = composeMail(
    new Map([['key.issued', 1]]),
    [item('key.issued', 'key:a\r\nBcc: x\u2028y')],
    'a@b.test',
  );
  expect(text).toContain('key:a??Bcc: x?y');
});

test.each(['ops@example.test', "o'neil+touchmark@mail.example.test", 'a.b-c_d@x.example'])(
  '%p is an address',
  (address) => expect(isMailAddress(address)).toBe(true),
);

test.each([
  '',
  'ops',
  'ops@localhost',
  'ops@example.test\r\nBcc: all@example.test',
  'ops@example.test\n',
  'ops@example.test, all@example.test',
  'ops@example.test;all@example.test',
  'Ops <ops@example.test>',
  '<ops@example.test>',
  '"ops"@example.test',
  'ops@[192.0.2.1]',
  'ops@exämple.test',
  'ops @example.test',
  '.ops@example.test',
  'ops..x@example.test',
  'ops@example..test',
  'ops@-example.test',
  'ops@example.test.',
  'a@b@example.test',
  `${'x'.repeat(65)}@example.test`,
  `x@${'y'.repeat(60)}.${'y'.repeat(60)}.${'y'.repeat(60)}.${'y'.repeat(60)}.${'y'.repeat(60)}.test`,
])('%p is none', (address) => expect(isMailAddress(address)).toBe(false));
