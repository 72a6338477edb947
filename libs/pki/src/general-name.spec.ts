import { describe, expect, it } from '@jest/globals';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import {
  canonicalGeneralName,
  encodeGeneralName,
  encodeGeneralNames,
  type GeneralName,
  readGeneralNames,
} from './general-name.js';
import { encodeName } from './name.js';
import { OID } from './oids.js';

const read = (names: Buffer): GeneralName[] => readGeneralNames(DerReader.openSequence(names, 'test'));

const ALL: GeneralName[] = [
  { type: 'uri', value: 'sip:alice@example.com' },
  { type: 'dns', value: 'device.example.com' },
  { type: 'email', value: 'alice@example.com' },
  { type: 'ip', value: '192.0.2.1' },
  { type: 'ip', value: '2001:db8::1' },
  { type: 'directory', der: encodeName([[{ type: OID.commonName, value: 'x' }]]) },
  { type: 'other', oid: OID.xmppAddr, value: der.utf8String('alice@example.com') },
  { type: 'registeredId', value: '2.25.340282366920938463463374607431768211375' },
  { type: 'x400', der: der.constructed(3, der.null()) },
  { type: 'edi', der: der.constructed(5, der.constructed(1, der.utf8String('p'))) },
];

describe('general names', () => {
  it('of every type come back as they were written', () => {
    expect(read(encodeGeneralNames(ALL))).toEqual(ALL);
  });

  it.each([
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::ffff:192.0.2.128', '::ffff:c000:280'],
  ])('read address %s as %s (RFC 5952)', (given, text) => {
    expect(read(encodeGeneralNames([{ type: 'ip', value: given }]))).toEqual([{ type: 'ip', value: text }]);
  });

  it.each([
    ['no name at all', der.sequence()],
    ['an address of five octets (X19)', der.sequence(der.primitive(7, Buffer.alloc(5)))],
    ['a dNSName beyond ASCII', der.sequence(der.primitive(2, Buffer.from('é')))],
    ['an unknown tag', der.sequence(der.primitive(9, Buffer.from('a')))],
    ['a directory name that is none', der.sequence(der.constructed(4, der.null()))],
    ['an otherName without its inner tag', der.sequence(der.constructed(0, der.oid('1.2.3'), der.null()))],
  ])('with %s are malformed', (_, names) => {
    expect(() => read(names)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });

  it.each<GeneralName>([
    { type: 'dns', value: '' },
    { type: 'uri', value: 'sip:ünser@example.com' },
    { type: 'ip', value: '1.2.3' },
    { type: 'ip', value: 'fe80::1%eth0' },
  ])('%p is not written', (name) => {
    expect(() => encodeGeneralName(name)).toThrow(expect.objectContaining({ kind: 'invalid' }));
  });

  it.each([
    ['uri', 'URN:UUID:6F1C2F0A-54D1-4C5E-9A55-0D6E8A3B9C11', 'urn:uuid:6f1c2f0a-54d1-4c5e-9a55-0d6e8a3b9c11'],
    ['uri', 'SIP:Alice@EXAMPLE.com', 'sip:Alice@example.com'],
    ['uri', 'HTTPS://User@Example.COM/Path?Q', 'https://User@example.com/Path?Q'],
    ['dns', 'Device.EXAMPLE.com', 'device.example.com'],
    ['email', 'Alice@Example.COM', 'Alice@example.com'],
    ['ip', '2001:DB8:0::1', '2001:db8::1'],
  ] as const)('%s %s names the same as %s (E81)', (type, a, b) => {
    expect(canonicalGeneralName({ type, value: a })).toBe(canonicalGeneralName({ type, value: b }));
  });

  it.each([
    ['uri', 'sip:alice@example.com', 'sip:Alice@example.com'],
    ['uri', 'sip:alice@example.com', 'sips:alice@example.com'],
    ['uri', 'urn:example:A', 'urn:example:a'],
    ['email', 'alice@example.com', 'Alice@example.com'],
  ] as const)('%s %s does not name the same as %s', (type, a, b) => {
    expect(canonicalGeneralName({ type, value: a })).not.toBe(canonicalGeneralName({ type, value: b }));
  });

  it('of different types never coincide', () => {
    const values = [
      ...ALL,
      { type: 'dns', value: 'alice@example.com' } as const,
      { type: 'uri', value: 'dns:a' } as const,
    ];
    expect(new Set(values.map(canonicalGeneralName)).size).toBe(values.length);
  });
});
