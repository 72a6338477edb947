import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { AsnConvert } from '@peculiar/asn1-schema';
import { Attribute } from '@peculiar/asn1-x509';
import { fromBER, ObjectIdentifier, Sequence } from 'asn1js';
import { encodeExtendedKeyUsage, encodeKeyUsage, keyAlgorithm, OID, type GeneralName } from '#pki';
import { encodeCsrAttributes, type CsrAttribute } from './csr-attributes.js';
import { readCsrAttributes } from './csr-attributes-read.js';
import { csrAttributesFor, type CsrDemand } from './csr-demand.js';

const challenge: CsrAttribute = { kind: 'oid', oid: OID.challengePassword };
const ecKey = (curve: string): CsrAttribute => ({ kind: 'key', algorithm: OID.ecPublicKey, curve });
const oid = (text: string): CsrAttribute => ({ kind: 'oid', oid: text });

describe('the list of RFC 8951', () => {
  it.each<[string, CsrAttribute[], string]>([
    [
      '5.2',
      [challenge, ecKey(OID.secp384r1), oid('1.3.6.1.1.1.1.22'), oid(OID.ecdsaWithSha384)],
      'MDIGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgcrBgEBAQEWBggqhkjOPQQDAw==',
    ],
    [
      '5.4',
      [challenge, { kind: 'key', algorithm: OID.rsaEncryption, modulusBits: 4096 }, oid(OID.sha256WithRSAEncryption)],
      'MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw==',
    ],
    [
      '5.5',
      [challenge, ecKey(OID.secp384r1), oid(OID.serialNumber), oid(OID.ecdsaWithSha384)],
      'MC4GCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgNVBAUGCCqGSM49BAMD',
    ],
    [
      '5.6',
      [
        challenge,
        ecKey(OID.secp521r1),
        oid('1.2.840.113549.1.9.20'),
        oid('0.9.2342.19200300.100.1.5'),
        oid(OID.serialNumber),
        oid(OID.ecdsaWithSha512),
      ],
      'MEUGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAjBgkqhkiG9w0BCRQGCgmSJomT8ixkAQUGA1UEBQYIKoZIzj0EAwQ=',
    ],
  ])('is, byte for byte, the sample of RFC 9908 section %s, and reads back (E122, E126, E130)', (_, list, sample) => {
    expect(encodeCsrAttributes(list).toString('base64')).toBe(sample);
    expect(readCsrAttributes(Buffer.from(sample, 'base64'))).toEqual(list);
  });

  it('demands a key by one attribute with no value, a curve or a size (E124)', () => {
    for (const demand of [
      { kind: 'key', algorithm: OID.ed25519 },
      { kind: 'key', algorithm: OID.ecPublicKey, curve: OID.secp256r1 },
      { kind: 'key', algorithm: OID.rsaEncryption },
      { kind: 'key', algorithm: OID.rsaEncryption, modulusBits: 3072 },
    ] as const) {
      const bytes = encodeCsrAttributes([demand]);
      expect(readCsrAttributes(bytes)).toEqual([demand]);
      const [one] = (fromBER(bytes).result as Sequence).valueBlock.value;
      const parsed = AsnConvert.parse(one?.toBER() as ArrayBuffer, Attribute);
      expect(parsed.type).toBe(demand.algorithm);
    }
  });

  it('holds an extensionRequest once at most, with one list in which no extension is repeated (E123)', () => {
    const one: CsrAttribute = {
      kind: 'extensions',
      extensions: [{ oid: OID.subjectAltName, critical: true, value: Buffer.from([0x30, 0]) }],
    };
    expect(readCsrAttributes(encodeCsrAttributes([one]))).toEqual([one]);
    expect(() => encodeCsrAttributes([one, one])).toThrow(/at most one/);
    const single = encodeCsrAttributes([one]);
    const twice = Buffer.concat([Buffer.from([0x30, 2 * (single.length - 2)]), single.subarray(2), single.subarray(2)]);
    expect(() => readCsrAttributes(twice)).toThrow(/more than one/);
    const repeated: CsrAttribute = { kind: 'extensions', extensions: [...one.extensions, ...one.extensions] };
    expect(() => readCsrAttributes(encodeCsrAttributes([repeated]))).toThrow(/repeats extension/);
  });

  it('may be empty and then asks for nothing (E120)', () => {
    expect(readCsrAttributes(Buffer.from([0x30, 0]))).toEqual([]);
  });

  it.each([
    ['no SEQUENCE', '0500'],
    ['octets behind the end', '30000000'],
    ['an attribute without values', '300b3009' + '06072a8648ce3d0201'],
    ['a template of version 2', '3016301406' + '0b2a864886f70d010910023d' + '3105' + '3003020101'],
  ])('with %s is malformed', (_, hex) => {
    expect(() => readCsrAttributes(Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});

describe('what a profile asks for', () => {
  const san: GeneralName[] = [{ type: 'uri', value: 'urn:uuid:11111111-2222-3333-4444-555555555555' }];
  const device: CsrDemand = {
    keyTypes: ['ec-p256', 'rsa-3072', 'ed25519'],
    keyUsage: ['digitalSignature'],
    eku: [OID.clientAuth],
    san: 'required',
    binding: false,
    names: undefined,
  };
  const read = (demand: CsrDemand): CsrAttribute[] => readCsrAttributes(csrAttributesFor(demand) as Buffer);
  const templateOf = (demand: CsrDemand) => {
    const found = read(demand).find((one) => one.kind === 'template');
    return found?.kind === 'template' ? found.template : undefined;
  };

  it('leaves a name that nobody knows yet to the client, by the template alone (E127, E128)', () => {
    const list = read(device);
    expect(list.map(({ kind }) => kind)).toEqual(['template']);
    expect(templateOf(device)).toEqual({
      subject: undefined,
      key: undefined,
      challengePassword: false,
      extensions: [
        { oid: OID.keyUsage, critical: true, value: encodeKeyUsage(['digitalSignature']) },
        { oid: OID.extKeyUsage, critical: false, value: encodeExtendedKeyUsage([OID.clientAuth]) },
        { oid: OID.subjectAltName, critical: false, value: undefined },
      ],
    });
    const bytes = csrAttributesFor(device)?.toString('hex');
    expect(bytes).toContain('060b2a864886f70d010910023e');
    expect(bytes).not.toContain('06092a864886f70d01090e');
  });

  it('tells an authenticated client its own names, in the list and in the template (E121, E129)', () => {
    const names = { subject: [[{ type: OID.commonName, value: 'device-1' }]], san };
    const list = read({ ...device, names });
    expect(list.map(({ kind }) => kind)).toEqual(['extensions', 'template']);
    const template = templateOf({ ...device, names });
    expect(template?.subject).toEqual([[{ type: OID.commonName, value: 'device-1' }]]);
    expect(template?.extensions.every(({ value }) => value !== undefined)).toBe(true);
    // With every value there it is an extensionRequest; the other attribute is never beside it (E128).
    expect(csrAttributesFor({ ...device, names })?.toString('hex')).not.toContain('060b2a864886f70d010910023e');
  });

  it('lists challengePassword where the request must be linked (E67)', () => {
    expect(read({ ...device, binding: true })).toContainEqual(challenge);
    expect(templateOf({ ...device, binding: true })?.challengePassword).toBe(true);
    expect(read(device)).not.toContainEqual(challenge);
  });

  it('names key and signature where there is no choice (E124, E125), an RSA size by a placeholder key (E129)', () => {
    const p384 = read({ ...device, keyTypes: ['ec-p384'] });
    expect(p384).toContainEqual(ecKey(OID.secp384r1));
    expect(p384).toContainEqual(oid(OID.ecdsaWithSha384));
    expect(templateOf({ ...device, keyTypes: ['ec-p384'] })?.key).toEqual({
      algorithm: keyAlgorithm('ec-p384').der,
      modulusBits: undefined,
    });
    const rsa = { ...device, keyTypes: ['rsa-3072'] as const };
    expect(read(rsa)).toContainEqual({ kind: 'key', algorithm: OID.rsaEncryption, modulusBits: 3072 });
    expect(templateOf(rsa)?.key).toEqual({ algorithm: keyAlgorithm('rsa-3072').der, modulusBits: 3072 });
    expect(read({ ...device, keyTypes: ['ml-dsa-65'] })).toContainEqual(oid(OID.mlDsa65));
    const family = read({ ...device, keyTypes: ['ec-p256', 'ec-p384'] });
    expect(family).toContainEqual({ kind: 'key', algorithm: OID.ecPublicKey });
  });

  it('is nothing where nothing is asked for (E120)', () => {
    expect(csrAttributesFor({ ...device, keyUsage: [], eku: [], san: 'optional' })).toBeUndefined();
  });

  it('is read by another parser, the subject template as a sequence of sets (E127)', () => {
    const names = { subject: [[{ type: OID.commonName, value: 'x' }]], san };
    const outer = fromBER(csrAttributesFor({ ...device, names }) as Buffer).result as Sequence;
    const attribute = outer.valueBlock.value.at(-1) as Sequence;
    const [type, values] = attribute.valueBlock.value;
    expect((type as ObjectIdentifier).valueBlock.toString()).toBe('1.2.840.113549.1.9.16.2.61');
    const template = (values as Sequence).valueBlock.value[0] as Sequence;
    expect(template.valueBlock.value.map((one) => [one.idBlock.tagClass, one.idBlock.tagNumber])).toEqual([
      [1, 2],
      [1, 16],
      [3, 1],
    ]);
  });
});
