import { expect, test } from '@jest/globals';
import { loadConfig } from './config.js';
import { isAuthorityError } from './errors.js';
import { readNetworks } from './networks.js';

test('blocks of both families are read as they are written', () => {
  const list = readNetworks(['10.0.0.0/8', 'fd00::/8', '192.0.2.7/32'], 'X');
  expect(list.check('10.255.255.255', 'ipv4')).toBe(true);
  expect(list.check('11.0.0.0', 'ipv4')).toBe(false);
  expect(list.check('fd12::1', 'ipv6')).toBe(true);
  expect(list.check('192.0.2.8', 'ipv4')).toBe(false);
});

test.each(['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'localhost/8', '10.0.0/8', '10.0.0.0/8 x', '/8', '10.0.0.0/-1'])(
  'the setting %p stops the start, and the text names it',
  (block) => {
    let error: unknown;
    try {
      loadConfig({ TOUCHMARK_WEBHOOK_NETWORKS: `127.0.0.0/8, ${block}` });
    } catch (thrown) {
      error = thrown;
    }
    expect(isAuthorityError(error, 'invalid') && error.member).toBe('TOUCHMARK_WEBHOOK_NETWORKS');
    expect(String(error)).toContain(block);
  },
);
