import { describe, expect, test } from '@jest/globals';
import { mintApiKey, mintOperatorToken } from '#credential';
import { AuthorityError } from '#kernel';
import { createLogger } from './log.js';

function collecting(options: { production?: boolean; terminal?: boolean; level?: string } = {}) {
  const lines: string[] = [];
  const { production = true, terminal = false, level = 'info' } = options;
  const log = createLogger({ level, production, terminal }, { write: (line) => lines.push(line) });
  return { log, lines, text: () => lines.join('') };
}

describe('log', () => {
  test('JSON lines in production and without a terminal, readable text in one', () => {
    const { log, lines } = collecting();
    log.info({ seq: 7 }, 'published');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'info', msg: 'published', seq: 7 });
    const piped = collecting({ production: false });
    piped.log.info('published');
    expect(JSON.parse(piped.lines[0] ?? '')).toMatchObject({ msg: 'published' });
  });

  test('no secret comes through, by whatever member or text it arrives', () => {
    const key = mintApiKey('live').text;
    const token = mintOperatorToken().text;
    const { log, text } = collecting({ level: 'trace' });
    log.info({
      req: {
        id: 'r1',
        method: 'GET',
        url: `/rum/v1/RueConfig?apiKey=canary-query`,
        headers: { authorization: 'canary-header' },
      },
    });
    log.info({ req: { method: 'POST', url: '/v1/keys', body: { x: 'canary-body' } }, body: 'canary-body2' });
    log.info({ a: { b: [{ password: 'canary-deep', Authorization: 'canary-case', 'private-key': 'canary-dash' }] } });
    log.warn(`presented ${key} and ${token}`);
    log.warn({ note: `Authorization: Bearer canary-bearer and Basic Y2FuYXJ5LWJhc2lj` });
    log.error({ err: new Error(`cannot reach postgres://tm_api:canary-url@db/x for ${key}`) });
    log.error(Object.assign(new Error('failed'), { config: { password: 'canary-error-member' } }));
    log.info({ deep: { a: { b: { c: { d: { e: { secret: 'canary-bottom' } } } } } } });
    log.info({ bytes: Buffer.from('canary-buffer') });
    expect(text()).not.toMatch(/canary|Y2FuYXJ5/);
    expect(text()).not.toContain(key.slice(-20));
    expect(text()).not.toContain(token.slice(-20));
    expect(text()).toContain('"path":"/rum/v1/RueConfig"');
    expect(text()).toContain('postgres://tm_api:[redacted]@db/x');
  });

  test('a failure shows its kind and where it came from', () => {
    const { log, lines } = collecting();
    log.error(
      { err: new AuthorityError('conflict', 'Port 1 is in use', { member: 'TOUCHMARK_API_PORT' }) },
      'no start',
    );
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      err: { kind: 'conflict', message: 'Port 1 is in use', stack: expect.any(String) },
    });
  });
});
