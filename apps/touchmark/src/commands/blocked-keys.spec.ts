import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { encodeCsr, readPublicKey, toPem } from '#pki';
import { readKeys } from './blocked-keys.js';

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const publicKey = readPublicKey(pair.publicKey.export({ type: 'spki', format: 'der' }));
const digest = publicKey.sha256.toString('hex');
const csr = encodeCsr({ subject: [], publicKey }, pair.privateKey);

describe('a file of keys to block', () => {
  test('has a digest on each line, with comments and empty lines, and PEM between them', () => {
    const text = `# leaked\n${digest.toUpperCase()} # of a camera\n\n${toPem('PUBLIC KEY', publicKey.spki)}\r\n${toPem('CERTIFICATE REQUEST', csr)}`;
    expect(readKeys(text)).toEqual([digest, digest, digest]);
  });

  test('with a private key in it is refused whole, wherever it stands', () => {
    const pem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    for (const text of [pem, `${digest}\n${pem}`, `${pem}${toPem('PUBLIC KEY', publicKey.spki)}`]) {
      expect(() => readKeys(text)).toThrow(expect.objectContaining({ code: 'privateKey' }));
    }
  });

  test.each([
    ['nothing in it', '# nothing\n\n'],
    ['a line that is no key', `${digest}\nhello\n`],
    ['a broken block', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'],
  ])('with %s is refused', (_, text) => {
    expect(() => readKeys(text)).toThrow(expect.objectContaining({ name: 'AuthorityError' }));
  });
});
