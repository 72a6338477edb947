import { describe, expect, test } from '@jest/globals';
import { parseDatabaseUrl } from './connection.js';

describe('a database URL', () => {
  test.each([
    [
      'postgres://u:p@db.example:6432/tm',
      { host: 'db.example', port: 6432, user: 'u', password: 'p', database: 'tm', ssl: false },
    ],
    ['postgresql://u@h', { host: 'h', port: 5432, user: 'u', password: '', database: 'touchmark', ssl: false }],
    [
      'postgres://u%40x:p%2Fq%3A@h/d%20b?sslmode=require',
      { host: 'h', port: 5432, user: 'u@x', password: 'p/q:', database: 'd b', ssl: true },
    ],
    [
      'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/tm',
      { host: '/var/run/postgresql', port: 5432, user: 'u', password: 'p', database: 'tm', ssl: false },
    ],
    [
      'postgres://u:p@localhost/tm?host=/tmp/pg&port=5433&sslmode=disable',
      { host: '/tmp/pg', port: 5433, user: 'u', password: 'p', database: 'tm', ssl: false },
    ],
    ['postgres://u:p@[::1]:80/tm', { host: '::1', port: 80, user: 'u', password: 'p', database: 'tm', ssl: false }],
    [
      'postgres:///tm?host=%2Ftmp&sslmode=verify-full',
      { host: '/tmp', port: 5432, user: '', password: '', database: 'tm', ssl: true },
    ],
  ])('%s', (url, expected) => {
    expect(parseDatabaseUrl(url)).toEqual(expected);
  });

  test.each(['postgres://u:hunter2@', 'http://u:hunter2@h/d', 'hunter2'])(
    'that is none is refused, and its password is not told: %s',
    (url) => {
      const parse = () => parseDatabaseUrl(url);
      expect(parse).toThrow(
        expect.objectContaining({ kind: 'invalid', detail: expect.not.stringContaining('hunter2') }),
      );
    },
  );
});
