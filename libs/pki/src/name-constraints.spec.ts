import { describe, expect, it } from '@jest/globals';
import { der } from './der/write.js';
import { encodeGeneralName, encodeIp, type GeneralName } from './general-name.js';
import { encodeName, type Name } from './name.js';
import { NameConstraints } from './name-constraints.js';
import { OID } from './oids.js';
import { commonName } from './testing/issuing.js';

type Base = GeneralName | { range: [string, string] };

function subtree(base: Base): Buffer {
  if (!('range' in base)) return der.sequence(encodeGeneralName(base));
  return der.sequence(der.primitive(7, Buffer.concat(base.range.map(encodeIp))));
}

function constraints(lists: { permitted?: Base[]; excluded?: Base[] }): Buffer {
  const part = (number: number, list: Base[] | undefined): Buffer[] =>
    list === undefined ? [] : [der.constructed(number, ...list.map(subtree))];
  return der.sequence(...part(0, lists.permitted), ...part(1, lists.excluded));
}

function allowed(
  lists: Parameters<typeof constraints>[0] | Parameters<typeof constraints>[0][],
  san: GeneralName[],
  subject: Name = [],
): boolean {
  const names = new NameConstraints();
  for (const one of [lists].flat()) names.add(constraints(one));
  return names.refusal({ subject, san }) === undefined;
}

const dns = (value: string): GeneralName => ({ type: 'dns', value });
const email = (value: string): GeneralName => ({ type: 'email', value });
const uri = (value: string): GeneralName => ({ type: 'uri', value });
const directory = (...values: string[]): GeneralName => ({
  type: 'directory',
  der: encodeName(values.flatMap(commonName)),
});

describe('name constraints (RFC 5280 section 4.2.1.10)', () => {
  it.each([
    ['example.org', 'example.org', true],
    ['example.org', 'a.b.EXAMPLE.org', true],
    ['example.org', 'badexample.org', false],
    ['example.org', 'example.org.evil', false],
    ['.example.org', 'example.org', false],
    ['.example.org', 'a.example.org', true],
  ])('dNSName %s covers %s: %s', (base, name, covered) => {
    expect(allowed({ permitted: [dns(base)] }, [dns(name)])).toBe(covered);
    expect(allowed({ excluded: [dns(base)] }, [dns(name)])).toBe(!covered);
  });

  it.each([
    ['alice@example.org', 'alice@EXAMPLE.org', true],
    ['alice@example.org', 'Alice@example.org', false],
    ['example.org', 'bob@example.org', true],
    ['example.org', 'bob@a.example.org', false],
    ['.example.org', 'bob@a.example.org', true],
    ['.example.org', 'bob@example.org', false],
  ])('rfc822Name %s covers %s: %s', (base, name, covered) => {
    expect(allowed({ permitted: [email(base)] }, [email(name)])).toBe(covered);
    const inSubject: Name = [[{ type: OID.emailAddress, value: name }]];
    expect(allowed({ permitted: [email(base)] }, [], inSubject)).toBe(covered);
    const other: GeneralName = { type: 'other', oid: OID.smtpUtf8Mailbox, value: der.utf8String(name) };
    expect(allowed({ excluded: [email(base)] }, [other])).toBe(!covered);
  });

  it.each([
    ['example.org', 'https://user@example.org:8443/x', true],
    ['example.org', 'https://a.example.org/', false],
    ['.example.org', 'https://a.example.org/', true],
    ['.example.org', 'https://example.org.evil/.example.org', false],
  ])('URI %s covers %s: %s', (base, name, covered) => {
    expect(allowed({ permitted: [uri(base)] }, [uri(name)])).toBe(covered);
    expect(allowed({ excluded: [uri(base)] }, [uri(name)])).toBe(!covered);
  });

  it.each([
    'urn:uuid:6f1c2f0a-54d1-4c5e-9a55-0d6e8a3b9c11',
    'sip:alice@example.org',
    'https://192.0.2.1/',
    'https://[2001:db8::1]/',
  ])('refuse URI %s, which has no host name, wherever URIs are constrained at all', (name) => {
    expect(allowed({ permitted: [uri('example.org')] }, [uri(name)])).toBe(false);
    expect(allowed({ excluded: [uri('example.com')] }, [uri(name)])).toBe(false);
    expect(allowed({ excluded: [dns('example.com')] }, [uri(name)])).toBe(true);
  });

  it('cover addresses by mask, each version for itself', () => {
    const v4: Base = { range: ['192.0.2.0', '255.255.255.0'] };
    const v6: Base = { range: ['2001:db8::', 'ffff:ffff::'] };
    const ip = (value: string): GeneralName[] => [{ type: 'ip', value }];
    expect(allowed({ permitted: [v4] }, ip('192.0.2.77'))).toBe(true);
    expect(allowed({ permitted: [v4] }, ip('192.0.3.77'))).toBe(false);
    expect(allowed({ permitted: [v4] }, ip('2001:db8::1'))).toBe(false);
    expect(allowed({ permitted: [v4, v6] }, ip('2001:db8::1'))).toBe(true);
    expect(allowed({ excluded: [v6] }, ip('2001:db8:1::1'))).toBe(false);
  });

  it('cover directory names by their leading RDNs, also in the subject', () => {
    const permitted = [directory('Org', 'Unit')];
    expect(allowed({ permitted }, [directory('ORG', 'unit', 'x')])).toBe(true);
    expect(allowed({ permitted }, [directory('Org')])).toBe(false);
    expect(allowed({ permitted }, [], ['Org', 'Other'].flatMap(commonName))).toBe(false);
    expect(allowed({ permitted }, [], [])).toBe(true);
  });

  it('of several authorities all hold: what is permitted shrinks, what is excluded grows', () => {
    const both = [
      { permitted: [dns('org'), dns('net')] },
      { permitted: [dns('example.org')] },
      { excluded: [dns('x.example.org')] },
    ];
    const judged = ['a.example.org', 'example.net', 'x.example.org', 'y.org'].map((name) => allowed(both, [dns(name)]));
    expect(judged).toEqual([true, false, false, false]);
    expect(allowed(both, [email('someone@else.where')])).toBe(true);
  });

  it('on forms that are not compared here refuse every name of the form', () => {
    const other: GeneralName = { type: 'other', oid: OID.xmppAddr, value: der.utf8String('a@b') };
    const registered: GeneralName = { type: 'registeredId', value: '1.2.3' };
    expect(allowed({ excluded: [{ ...other, oid: '1.2.3.4' }] }, [other])).toBe(true);
    expect(allowed({ permitted: [other] }, [other])).toBe(false);
    expect(allowed({ excluded: [registered] }, [{ ...registered, value: '1.2.4' }])).toBe(false);
  });

  it.each([
    ['nothing', der.sequence()],
    ['an empty list', der.sequence(der.constructed(0))],
    [
      'a maximum',
      der.sequence(der.constructed(0, der.sequence(encodeGeneralName(dns('x')), der.primitive(1, Buffer.of(1))))),
    ],
    ['an odd address range', der.sequence(der.constructed(0, der.sequence(der.primitive(7, Buffer.alloc(5)))))],
  ])('that hold %s are malformed', (_, value) => {
    expect(() => new NameConstraints().add(value)).toThrow();
  });

  it('refuse rather than compare without end', () => {
    const excluded = Array.from({ length: 700 }, (_, i) => dns(`host-${i}.example.org`));
    const san = Array.from({ length: 700 }, (_, i) => dns(`other-${i}.example.org`));
    expect(allowed({ excluded }, san)).toBe(false);
    expect(allowed({ excluded: excluded.slice(0, 100) }, san)).toBe(true);
  });
});
