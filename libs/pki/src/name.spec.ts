import { describe, expect, it } from '@jest/globals';
import { der } from './der/write.js';
import { canonicalRdns, encodeName, type Name, namesEqual, nameToString, readName } from './name.js';
import { OID } from './oids.js';

const one = (type: string, value: string): Name => [[{ type, value }]];
const raw = (value: Buffer): Buffer => der.sequence(der.setOf(der.sequence(der.oid(OID.commonName), value)));

describe('names', () => {
  it('come back as they were written', () => {
    const name: Name = [
      [{ type: OID.countryName, value: 'DE' }],
      [{ type: OID.domainComponent, value: 'example' }],
      [
        { type: OID.serialNumber, value: '17' },
        { type: OID.commonName, value: 'Zoë 🚀' },
      ],
    ];
    expect(readName(encodeName(name))).toEqual(name);
    expect(readName(encodeName([]))).toEqual([]);
  });

  it('use PrintableString for C and UTF8String for CN (X10)', () => {
    expect(encodeName(one(OID.countryName, 'US')).toString('hex')).toBe('300d310b3009060355040613025553');
    expect(encodeName(one(OID.commonName, 'US')).toString('hex')).toBe('300d310b300906035504030c025553');
  });

  it.each([
    ['an empty value', one(OID.commonName, '')],
    ['an umlaut in C', one(OID.countryName, 'Ü')],
    ['an empty RDN', [[]] as Name],
    ['half a surrogate pair', one(OID.commonName, '\ud800')],
  ])('with %s are not written', (_, name) => {
    expect(() => encodeName(name)).toThrow(expect.objectContaining({ kind: 'invalid' }));
  });

  it.each([
    ['an empty RDN', der.sequence(der.setOf())],
    [
      'a trailing element in an attribute',
      der.sequence(der.setOf(der.sequence(der.oid('2.5.4.3'), der.utf8String('a'), der.null()))),
    ],
    ['octets behind it', Buffer.concat([encodeName([]), Buffer.of(0)])],
    ['no SEQUENCE', der.setOf()],
  ])('with %s are malformed', (_, bytes) => {
    expect(() => readName(bytes)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });

  it('print as RFC 4514 does', () => {
    expect(
      nameToString([
        [{ type: OID.domainComponent, value: 'net' }],
        [
          { type: OID.organizationalUnitName, value: 'Sales' },
          { type: OID.commonName, value: 'J.  Smith' },
        ],
      ]),
    ).toBe('OU=Sales+CN=J.  Smith,DC=net');
    expect(nameToString(one(OID.commonName, 'James "Jim" Smith, III'))).toBe('CN=James \\"Jim\\" Smith\\, III');
    expect(nameToString(one(OID.commonName, 'Before\rAfter'))).toBe('CN=Before\\0dAfter');
    expect(nameToString(one(OID.commonName, ' #a '))).toBe('CN=\\ #a\\ ');
    expect(nameToString(one('1.3.6.1.4.1.1466.0', 'a'))).toBe('1.3.6.1.4.1.1466.0=#0c0161');
    expect(nameToString([])).toBe('');
  });

  it.each([
    ['case', der.utf8String('Device ONE'), der.utf8String('device one')],
    ['PrintableString and UTF8String (E81)', der.printableString('Device One'), der.utf8String('Device One')],
    ['inner and outer space', der.utf8String('  Device   One '), der.utf8String('device one')],
    ['compatibility forms', der.utf8String('\u212bngstr\u00f6m'), der.utf8String('\u00e5ngstro\u0308m')],
    ['BMPString and UTF8String', der.tagged(0x1e, Buffer.from('0041', 'hex')), der.utf8String('a')],
  ])('are equal across %s (RFC 5280 7.1)', (_, a, b) => {
    expect(namesEqual(raw(a), raw(b))).toBe(true);
  });

  it.each([
    ['another value', encodeName(one(OID.commonName, 'a')), encodeName(one(OID.commonName, 'b'))],
    ['another type', encodeName(one(OID.commonName, 'a')), encodeName(one(OID.title, 'a'))],
    [
      'another order of RDNs',
      encodeName([...one(OID.commonName, 'a'), ...one(OID.title, 'b')]),
      encodeName([...one(OID.title, 'b'), ...one(OID.commonName, 'a')]),
    ],
    [
      'one RDN more',
      encodeName(one(OID.commonName, 'a')),
      encodeName([...one(OID.commonName, 'a'), ...one(OID.commonName, 'a')]),
    ],
    [
      'two RDNs for one of two attributes',
      encodeName([
        [
          { type: OID.commonName, value: 'a' },
          { type: OID.title, value: 'b' },
        ],
      ]),
      encodeName([...one(OID.commonName, 'a'), ...one(OID.title, 'b')]),
    ],
    ['a missing inner space', raw(der.utf8String('a b')), raw(der.utf8String('ab'))],
  ])('differ by %s', (_, a, b) => {
    expect(namesEqual(a, b)).toBe(false);
  });

  it('do not let a value pass for a separator', () => {
    const forged = raw(der.utf8String('a\u0001title=b'));
    expect(namesEqual(forged, encodeName([...one(OID.commonName, 'a'), ...one(OID.title, 'b')]))).toBe(false);
    const inRdn = raw(der.utf8String(`a\u0002${OID.title}=b`));
    expect(
      namesEqual(
        inRdn,
        encodeName([
          [
            { type: OID.commonName, value: 'a' },
            { type: OID.title, value: 'b' },
          ],
        ]),
      ),
    ).toBe(false);
    expect(
      namesEqual(
        raw(der.utf8String(`a\u0001${OID.title}=b`)),
        encodeName([...one(OID.commonName, 'a'), ...one(OID.title, 'b')]),
      ),
    ).toBe(false);
  });

  it('compare multi-valued RDNs as sets', () => {
    const a = canonicalRdns([
      [
        { type: OID.commonName, value: 'A' },
        { type: OID.title, value: 'B' },
      ],
    ]);
    const b = canonicalRdns([
      [
        { type: OID.title, value: 'b' },
        { type: OID.commonName, value: 'a' },
      ],
    ]);
    expect(a).toEqual(b);
  });
});
