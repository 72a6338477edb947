import { describe, expect, test } from '@jest/globals';
import { acceptNames, CHALLENGE, checkContentEncoding, checkContentType, readBasic } from './headers.js';

const malformed = expect.objectContaining({ kind: 'malformed' });
const basic = (text: string | Buffer, scheme = 'Basic') => `${scheme} ${Buffer.from(text).toString('base64')}`;

describe('Content-Type', () => {
  test('E25: case, spaces and unknown parameters do not matter', () => {
    for (const header of [
      'application/pkcs10',
      'Application/PKCS10',
      ' application/pkcs10 ; charset=utf-8; x="a;b"',
      'application/pkcs10;',
    ]) {
      expect(() => checkContentType(header, 'application/pkcs10')).not.toThrow();
    }
  });

  test('EX04: a missing or other type is unsupported, and the text names the right one', () => {
    for (const header of [
      undefined,
      '',
      'text/plain',
      'application/pkcs10x',
      'application/pkcs10, text/plain',
      '; x',
    ]) {
      expect(() => checkContentType(header, 'application/pkcs10')).toThrow(
        expect.objectContaining({
          kind: 'unsupportedType',
          detail: expect.stringMatching(/application\/pkcs10;/),
        }),
      );
    }
  });
});

describe('Content-Encoding', () => {
  test('EX28: compressed bodies are unsupported, identity is nothing', () => {
    for (const header of [undefined, '', 'identity', 'Identity'])
      expect(() => checkContentEncoding(header)).not.toThrow();
    for (const header of ['gzip', 'identity, gzip', 'br', 'x']) {
      expect(() => checkContentEncoding(header)).toThrow(
        expect.objectContaining({ kind: 'unsupportedType', code: 'contentEncoding' }),
      );
    }
  });
});

describe('Basic', () => {
  test('user and password are read as UTF-8; the scheme has no case', () => {
    expect(readBasic(basic('device-1:secret'))).toEqual({ user: 'device-1', password: 'secret' });
    expect(readBasic(basic('a:b', 'bASIC'))).toEqual({ user: 'a', password: 'b' });
    expect(readBasic(`Basic   ${Buffer.from('a:b').toString('base64')}`)).toEqual({ user: 'a', password: 'b' });
  });

  test('RFC 7617 section 2.1: the example with a pound sign reads right', () => {
    expect(readBasic('Basic dGVzdDoxMjPCow==')).toEqual({ user: 'test', password: '123£' });
  });

  test('the password may hold colons, both parts may be empty (E45)', () => {
    expect(readBasic(basic('u:a:b:'))).toEqual({ user: 'u', password: 'a:b:' });
    expect(readBasic(basic(':one-time'))).toEqual({ user: '', password: 'one-time' });
    expect(readBasic(basic(':'))).toEqual({ user: '', password: '' });
  });

  test('an absent header and another scheme give nothing, so that a challenge follows (EX11)', () => {
    for (const header of [undefined, 'Bearer abc', 'Digest username="u", realm="r"', 'Negotiate abc==']) {
      expect(readBasic(header)).toBeUndefined();
    }
  });

  test('EX13: a header that cannot be read is malformed, never a crash and never an empty user', () => {
    for (const header of [
      '',
      ' ',
      'Basic',
      'Basic ',
      'Basic !!!',
      'Basic YTpi YTpi',
      'Basic YTp',
      'Basic YTpi=',
      'Basic YT-_',
      'Basic \u0159\u0159\u0159\u0159',
      'YTpi',
      '"Basic" YTpi',
      basic('no colon'),
      basic('a:b\n'),
      basic('a\u0000:b'),
      basic(Buffer.from([0x61, 0x3a, 0xff])),
      basic(`u:${'x'.repeat(5000)}`),
    ]) {
      expect(() => readBasic(header)).toThrow(malformed);
    }
  });

  test('E44: the challenge states realm and charset', () => {
    expect(CHALLENGE).toBe('Basic realm="Touchmark EST", charset="UTF-8"');
  });
});

describe('Accept', () => {
  test('E90: only the type itself names it, not a wildcard, not a weight of zero', () => {
    const type = 'application/problem+json';
    for (const accept of [type, `text/plain, ${type};q=0.5`, 'Application/Problem+JSON']) {
      expect(acceptNames(accept, type)).toBe(true);
    }
    for (const accept of [
      undefined,
      '',
      '*/*',
      'application/*',
      'application/json',
      `${type};q=0`,
      `${type}; q=0.000`,
    ]) {
      expect(acceptNames(accept, type)).toBe(false);
    }
  });
});
