import { describe, expect, test } from '@jest/globals';
import { DIGEST_REALM, digestKey, digestResponse, readDigest } from './digest.js';
import { challenges } from './headers.js';

const malformed = expect.objectContaining({ kind: 'malformed' });

const GIVEN = {
  username: '"0199f3a0-0000-7000-8000-000000000001"',
  realm: `"${DIGEST_REALM}"`,
  nonce: '"bm9uY2U"',
  uri: '"/.well-known/est/simpleenroll"',
  response: `"${'ab'.repeat(32)}"`,
  algorithm: 'SHA-256',
  qop: 'auth',
  nc: '00000001',
  cnonce: '"c25vbmNl"',
};
const header = (change: Partial<Record<string, string | undefined>> = {}, scheme = 'Digest'): string =>
  `${scheme} ${Object.entries({ ...GIVEN, ...change })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ')}`;

describe('the computation', () => {
  const request = {
    method: 'GET',
    uri: '/dir/index.html',
    nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
    nc: '00000001',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  };
  const who = { user: 'Mufasa', realm: 'http-auth@example.org', password: 'Circle of Life' };

  test.each([
    ['sha256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    ['md5', '8ca523f5e9506fed4657c9700eebdbec'],
  ] as const)('of RFC 7616 section 3.9.1 with %s', (algorithm, expected) => {
    expect(digestResponse(digestKey(who, algorithm), request, algorithm).toString('hex')).toBe(expected);
  });
});

describe('the challenge', () => {
  test('has SHA-256 and qop="auth", stands before Basic, and says stale only where it is (E43, E44)', () => {
    const lines = challenges({ digest: { nonce: 'abc', stale: false }, basic: true, bearer: true });
    expect(lines).toEqual([
      'Digest realm="Touchmark EST", qop="auth", algorithm=SHA-256, nonce="abc", charset=UTF-8',
      'Basic realm="Touchmark EST", charset="UTF-8"',
      'Bearer realm="Touchmark EST"',
    ]);
    const [stale] = challenges({ digest: { nonce: 'abc', stale: true }, basic: true, bearer: false });
    expect(stale).toContain(', stale=true, ');
  });
});

describe('Digest', () => {
  const read = {
    user: '0199f3a0-0000-7000-8000-000000000001',
    nonce: 'bm9uY2U',
    uri: '/.well-known/est/simpleenroll',
    response: Buffer.alloc(32, 0xab),
    nc: '00000001',
    cnonce: 'c25vbmNl',
  };

  test.each([
    ['as the RFC writes it', header()],
    ['whatever the case of scheme, names, algorithm and qop', header({ algorithm: 'sha-256', qop: 'AUTH' }, 'dIGEST')],
    ['with tokens that are quoted, as older clients do', header({ algorithm: '"SHA-256"', qop: '"auth"' })],
    ['with parameters nobody knows', header({ opaque: '""', later: 'on' })],
    ['with a user name that is said not to be hashed', header({ userhash: 'false' })],
    ['with other white space, and empty elements', header().replaceAll(', ', ' ,, ').replaceAll('=', ' =\t')],
  ])('is read %s', (_, text) => {
    expect(readDigest(text)).toEqual(read);
  });

  test('is nothing where the header is absent or names another scheme (EX11)', () => {
    for (const other of [undefined, 'Basic YTpi', 'Bearer abc', 'Digests a=b', 'Digest']) {
      expect(readDigest(other)).toBeUndefined();
    }
  });

  test.each([
    ...Object.keys(GIVEN).map((name) => [`without ${name}`, header({ [name]: undefined })]),
    ['of another realm', header({ realm: '"Touchmark"' })],
    ['with MD5', header({ algorithm: 'MD5' })],
    ['with SHA-512-256', header({ algorithm: 'SHA-512-256' })],
    ['with a session key', header({ algorithm: 'SHA-256-sess' })],
    ['with qop=auth-int', header({ qop: 'auth-int' })],
    ['with a hashed user name', header({ userhash: 'true' })],
    ['with a user name in the extended form alone', header({ username: undefined, 'username*': "UTF-8''a" })],
    ['with an empty nonce', header({ nonce: '""' })],
    ['with a nonce of 257 characters', header({ nonce: `"${'a'.repeat(257)}"` })],
    ['with an empty uri', header({ uri: '""' })],
    ['with an empty cnonce', header({ cnonce: '""' })],
    ['with a cnonce of 257 characters', header({ cnonce: `"${'a'.repeat(257)}"` })],
    ['with a response that is too short', header({ response: `"${'ab'.repeat(31)}"` })],
    ['with a response that is too long', header({ response: `"${'ab'.repeat(33)}"` })],
    ['with a response in capitals', header({ response: `"${'AB'.repeat(32)}"` })],
    ['with a response that is not hexadecimal', header({ response: `"${'zz'.repeat(32)}"` })],
    ['with a count of 0', header({ nc: '00000000' })],
    ['with a count of 7 digits', header({ nc: '0000001' })],
    ['with a count of 9 digits', header({ nc: '000000001' })],
    ['with a count in capitals', header({ nc: '0000000A' })],
    ['with a parameter twice', `${header()}, nc=00000002`],
    ['with a parameter twice in another case', `${header()}, NC=00000001`],
    ['with a quoted string that does not end', `${header()}, x="y`],
    ['with an escape in a quoted string', header({ username: '"a\\"b"' })],
    ['with a control character', header({ username: '"a\u0001b"' })],
    ['with other characters than ASCII', header({ username: '"\u00e4"' })],
    ['with a name and no value', `${header()}, x`],
    ['with an empty token', `${header()}, x=`],
    ['with a value and no name', `${header()}, ="x"`],
    ['without commas', header().replaceAll(', ', ' ')],
    ['with semicolons', header().replaceAll(', ', '; ')],
    ['with a comma first', `Digest , ${header().slice(7)}`],
    ['of 17 parameters', `${header()}${Array.from({ length: 8 }, (_, n) => `, x${n}=y`).join('')}`],
    ['with a value of 1025 characters', `${header()}, x="${'y'.repeat(1025)}"`],
    ['of 4097 characters', `${header()}, x="${'y'.repeat(4097 - header().length - 6)}"`],
    ['that is a token', 'Digest abc'],
    ['that is base64', 'Digest YTpi=='],
  ])('is malformed %s (EX13)', (_, text) => {
    expect(() => readDigest(text)).toThrow(malformed);
  });

  test('takes 16 parameters, and no time for what is made to take some', () => {
    expect(readDigest(`${header()}${Array.from({ length: 7 }, (_, n) => `, x${n}=y`).join('')}`)).toEqual(read);
    for (const text of ['a '.repeat(2000), 'a=b\t'.repeat(1000), ' '.repeat(4000), `x=${'"'.repeat(4000)}`]) {
      const started = performance.now();
      expect(() => readDigest(`Digest ${text}=`)).toThrow(malformed);
      expect(performance.now() - started).toBeLessThan(100);
    }
  });
});
