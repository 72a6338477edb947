import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { isAuthorityError } from '#kernel';
import { readCsr } from './csr.js';
import { encodeAttribute, encodeCsr } from './csr-write.js';
import { der } from './der/write.js';
import { encodeExtension } from './extension.js';
import { encodeGeneralNames } from './general-name.js';
import { encodeName, nameToString } from './name.js';
import { OID } from './oids.js';
import { signatureAlgorithm } from './signature.js';
import { commonName, generateKey, INSTANCE_ID, type KeyPair, SIGNING_KEY_TYPES } from './testing/issuing.js';

const key = generateKey('ec-p256');
const URN = { type: 'uri', value: `urn:uuid:${INSTANCE_ID}` } as const;
const plain = { subject: commonName('dev-1'), publicKey: key.publicKey, san: [URN] };

interface Parts {
  version?: Buffer;
  subject?: Buffer;
  spki?: Buffer;
  attributes?: Buffer[];
  tail?: Buffer[];
}

/** A request put together part by part and signed rightly, so that only the part under test can be its fault. */
function signedCsr(parts: Parts, signer: KeyPair = key): Buffer {
  const info = der.sequence(
    parts.version ?? der.integer(0),
    parts.subject ?? encodeName(plain.subject),
    parts.spki ?? signer.publicKey.spki,
    der.constructed(0, ...(parts.attributes ?? [])),
    ...(parts.tail ?? []),
  );
  const algorithm = signatureAlgorithm('ec-p256').der;
  return der.sequence(info, algorithm, der.bitString(sign('sha256', info, signer.privateKey)));
}

const extensionRequest = (...extensions: Buffer[]): Buffer =>
  encodeAttribute(OID.extensionRequest, der.sequence(...extensions));
const sanExtension = (value: Buffer): Buffer => encodeExtension({ oid: OID.subjectAltName, critical: false, value });
const sanOf = (...names: Buffer[]): Parts => ({ attributes: [extensionRequest(sanExtension(der.sequence(...names)))] });
const rawSubject = (value: Buffer): Parts => ({
  subject: der.sequence(der.setOf(der.sequence(der.oid(OID.commonName), value))),
});
const change = (...members: Buffer[]): Parts => ({
  attributes: [encodeAttribute(OID.changeSubjectName, der.sequence(...members))],
});
const password = (value: Buffer): Buffer => encodeAttribute(OID.challengePassword, value);

function failureOf(csr: Buffer): string {
  try {
    readCsr(csr);
    return 'accepted';
  } catch (error) {
    return isAuthorityError(error) ? `${error.kind}/${error.code}` : `other: ${String(error)}`;
  }
}

describe('readCsr', () => {
  it.each(SIGNING_KEY_TYPES)('reads a request of a %s key and proves possession (E60)', (keyType) => {
    const pair = generateKey(keyType);
    const csr = readCsr(
      encodeCsr({ subject: commonName('dev-1'), publicKey: pair.publicKey, san: [URN] }, pair.privateKey),
    );
    expect(nameToString(csr.subject)).toBe('CN=dev-1');
    expect(csr.publicKey.spki).toEqual(pair.publicKey.spki);
    expect(csr.san).toEqual([URN]);
    expect(csr.challengePassword).toBeUndefined();
    expect(csr.changeSubjectName).toBeUndefined();
  });

  it('reads every wish, and the types of attributes that it does not know', () => {
    const csr = readCsr(
      encodeCsr(
        {
          ...plain,
          extensions: [{ oid: OID.basicConstraints, critical: true, value: der.sequence(der.boolean(true)) }],
          challengePassword: 'tls-unique',
          changeSubjectName: { subject: commonName('dev-2'), san: [{ type: 'dns', value: 'a.example' }] },
          attributes: [encodeAttribute('1.3.6.1.4.1.311.13.2.3', der.ia5String('6.1'))],
        },
        key.privateKey,
      ),
    );
    expect(csr.extensions.map(({ oid, critical }) => [oid, critical])).toEqual([
      [OID.basicConstraints, true],
      [OID.subjectAltName, false],
    ]);
    expect(csr.challengePassword).toBe('tls-unique');
    expect(csr.changeSubjectName).toEqual({
      subjectDer: encodeName(commonName('dev-2')),
      san: [{ type: 'dns', value: 'a.example' }],
    });
    expect(csr.attributeTypes).toContain('1.3.6.1.4.1.311.13.2.3');
  });

  it('accepts a request without SAN, without attributes, and with an empty subject', () => {
    expect(readCsr(signedCsr({})).san).toBeUndefined();
    expect(readCsr(signedCsr({ subject: encodeName([]) })).subject).toEqual([]);
    const info = der.sequence(der.integer(0), encodeName([]), key.publicKey.spki);
    const csr = der.sequence(
      info,
      signatureAlgorithm('ec-p256').der,
      der.bitString(sign('sha256', info, key.privateKey)),
    );
    expect(readCsr(csr).extensions).toEqual([]);
  });

  const good = encodeCsr(plain, key.privateKey);
  const sha1 = ((): Buffer => {
    const info = der.sequence(der.integer(0), encodeName([]), key.publicKey.spki, der.constructed(0));
    return der.sequence(
      info,
      der.sequence(der.oid(OID.ecdsaWithSha1)),
      der.bitString(sign('sha1', info, key.privateKey)),
    );
  })();
  const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const spkiOf = (pair: { publicKey: { export(o: { format: 'der'; type: 'spki' }): Buffer } }): Buffer =>
    pair.publicKey.export({ format: 'der', type: 'spki' });
  const long = der.utf8String('x'.repeat(256));
  const san = encodeGeneralNames([URN]);

  it.each<[string, Buffer, string]>([
    ['EX02 truncated', good.subarray(0, good.length - 1), 'malformed/malformed'],
    ['EX02 empty', Buffer.alloc(0), 'malformed/malformed'],
    ['EX02 not ASN.1', Buffer.from('-----BEGIN CERTIFICATE REQUEST-----'), 'malformed/malformed'],
    ['EX03 one octet behind it', Buffer.concat([good, Buffer.of(0)]), 'malformed/malformed'],
    ['EX03 twice', Buffer.concat([good, good]), 'malformed/malformed'],
    [
      'EX03 indefinite length',
      Buffer.concat([Buffer.from('3080', 'hex'), good.subarray(3), Buffer.alloc(2)]),
      'malformed/malformed',
    ],
    ['EX06 above 64 KiB', Buffer.alloc(65_537, 0x30), 'tooLarge/tooLarge'],
    ['EX07 nested without end', Buffer.from('3080'.repeat(30_000), 'hex'), 'malformed/malformed'],
    ['EX07 length of 4 GiB', Buffer.from('3084ffffffff00', 'hex'), 'malformed/malformed'],
    [
      'EX08 signature of another key',
      signedCsr({ spki: generateKey('ec-p256').publicKey.spki }),
      'malformed/badSignature',
    ],
    ['EX09 signed with SHA-1', sha1, 'invalid/unsupportedAlgorithm'],
    [
      'EX09 key of an unknown algorithm',
      signedCsr({ spki: der.sequence(der.sequence(der.oid('1.2.3')), der.bitString(Buffer.of(1))) }),
      'invalid/unsupportedKey',
    ],
    ['EX10 RSA 1024', signedCsr({ spki: spkiOf(rsa1024) }), 'invalid/weakKey'],
    ['EX10 curve secp256k1', signedCsr({ spki: spkiOf(k256) }), 'invalid/weakKey'],
    ['EX10 key that is none', signedCsr({ spki: der.sequence() }), 'malformed/malformed'],
    [
      'EX22 two challenge passwords',
      signedCsr({ attributes: [password(der.utf8String('a')), password(der.utf8String('b'))] }),
      'malformed/malformed',
    ],
    ['EX30 NUL in the subject', signedCsr(rawSubject(der.utf8String('a\0b'))), 'malformed/malformed'],
    ['EX30 newline in the subject', signedCsr(rawSubject(der.utf8String('a\nb'))), 'malformed/malformed'],
    ['EX30 C1 control in the subject', signedCsr(rawSubject(der.utf8String('a\u0085b'))), 'malformed/malformed'],
    ['EX30 NUL in the SAN', signedCsr(sanOf(der.primitive(6, Buffer.from('urn:a\0b')))), 'malformed/malformed'],
    ['EX30 DEL in the SAN', signedCsr(sanOf(der.primitive(2, Buffer.from('a\x7f')))), 'malformed/malformed'],
    ['E60 version v2', signedCsr({ version: der.integer(1) }), 'malformed/malformed'],
    ['E60 something behind the attributes', signedCsr({ tail: [der.null()] }), 'malformed/malformed'],
    ['E68 password of 256 octets', signedCsr({ attributes: [password(long)] }), 'malformed/malformed'],
    ['E68 empty password', signedCsr({ attributes: [password(der.utf8String(''))] }), 'malformed/malformed'],
    [
      'E68 password that is no string',
      signedCsr({ attributes: [password(der.octetString(Buffer.from('a')))] }),
      'malformed/malformed',
    ],
    [
      'E68 two values of one password',
      signedCsr({
        attributes: [der.sequence(der.oid(OID.challengePassword), der.setOf(der.utf8String('a'), der.utf8String('b')))],
      }),
      'malformed/malformed',
    ],
    [
      'E72 two extensionRequests',
      signedCsr({ attributes: [extensionRequest(sanExtension(san)), extensionRequest(sanExtension(san))] }),
      'malformed/malformed',
    ],
    [
      'E72 two values of one extensionRequest',
      signedCsr({
        attributes: [
          der.sequence(
            der.oid(OID.extensionRequest),
            der.setOf(der.sequence(sanExtension(san)), der.sequence(sanExtension(san))),
          ),
        ],
      }),
      'malformed/malformed',
    ],
    [
      'E72 a repeated extension',
      signedCsr({ attributes: [extensionRequest(sanExtension(san), sanExtension(san))] }),
      'malformed/malformed',
    ],
    ['E72 no extension in the request', signedCsr({ attributes: [extensionRequest()] }), 'malformed/malformed'],
    [
      'an attribute without values',
      signedCsr({ attributes: [der.sequence(der.oid('1.2.3'), der.setOf())] }),
      'malformed/malformed',
    ],
    [
      'an encoded default FALSE',
      signedCsr({
        attributes: [extensionRequest(der.sequence(der.oid('1.2.3'), der.boolean(false), der.octetString(der.null())))],
      }),
      'malformed/malformed',
    ],
    ['E81 an empty SAN', signedCsr(sanOf()), 'malformed/malformed'],
    ['an empty name in the SAN', signedCsr(sanOf(der.primitive(6, Buffer.alloc(0)))), 'malformed/malformed'],
    ['X19 an address of five octets', signedCsr(sanOf(der.primitive(7, Buffer.alloc(5)))), 'malformed/malformed'],
    ['an empty value in the subject', signedCsr(rawSubject(der.utf8String(''))), 'malformed/malformed'],
    [
      'invalid UTF-8 in the subject',
      signedCsr(rawSubject(der.tagged(0x0c, Buffer.from('c328', 'hex')))),
      'malformed/malformed',
    ],
    ['E83 an empty ChangeSubjectName', signedCsr(change()), 'malformed/malformed'],
    ['E83 a ChangeSubjectName with an empty SAN', signedCsr(change(der.constructed(1))), 'malformed/malformed'],
    [
      'E83 a ChangeSubjectName with more behind',
      signedCsr(change(encodeName([]), san, der.null())),
      'malformed/malformed',
    ],
  ])('refuses %s', (_, csr, expected) => {
    expect(failureOf(csr)).toBe(expected);
  });

  it('names what is allowed where it refuses an algorithm (EX09)', () => {
    expect(() => readCsr(sha1)).toThrow(/SHA-256/);
  });

  it('takes a challengePassword of 255 octets in any string type (E68)', () => {
    const text = 'x'.repeat(255);
    for (const value of [der.utf8String(text), der.printableString(text), der.ia5String(text)]) {
      expect(readCsr(signedCsr({ attributes: [password(value)] })).challengePassword).toBe(text);
    }
  });

  it('reads ChangeSubjectName in all forms that RFC 6402 and its erratum allow (E83)', () => {
    const name = encodeName(commonName('dev-2'));
    const forms: [Buffer[], { subjectDer: Buffer | undefined; san: unknown }][] = [
      [[name], { subjectDer: name, san: undefined }],
      [[encodeName([])], { subjectDer: encodeName([]), san: undefined }],
      [[san], { subjectDer: undefined, san: [URN] }],
      [[name, san], { subjectDer: name, san: [URN] }],
      [[name, der.constructed(1, san.subarray(2))], { subjectDer: name, san: [URN] }],
      [[der.constructed(1, san)], { subjectDer: undefined, san: [URN] }],
    ];
    for (const [members, expected] of forms)
      expect(readCsr(signedCsr(change(...members))).changeSubjectName).toEqual(expected);
  });
});
