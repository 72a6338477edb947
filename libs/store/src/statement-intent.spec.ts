import { expect, test } from '@jest/globals';
import { intentOf } from './statement-intent.js';

test.each([
  ['begin', 'begin'],
  ['commit', 'commit'],
  ['lock table x in exclusive mode', 'lock'],
  [`select id from keys where id = $1`, 'select keys'],
  ['  SELECT 1', 'select'],
  ['insert into audit (at) values ($1)', 'insert audit'],
  ['update keys set status = $1', 'update keys'],
  ['delete from outbox where done_at < $1', 'delete outbox'],
  [
    'with a as (select 1 from b), c as (insert into serials (x) select 1) update certificates set der = $1',
    'insert serials',
  ],
  ['with a as (select id from b) select * from a', 'with'],
])('%s is named %s', (sql, name) => {
  expect(intentOf(sql).name).toBe(name);
});

test('a value that stands in a text by mistake does not reach the name', () => {
  const { name, facts } = intentOf(`select * from keys where secret = 'tmk_canary'`);
  expect(JSON.stringify([name, facts])).not.toContain('canary');
});
