import { describe, expect, test } from '@jest/globals';
import { der, OID, type GeneralName } from '#pki';
import { nameTypeOf, subjectOf } from './name-type.js';
import type { NameType } from './profile.js';

const uri = (value: string): GeneralName => ({ type: 'uri', value });
const other = (oid: string): GeneralName => ({ type: 'other', oid, value: der.utf8String('x@a.example') });

describe('a general name is', () => {
  test.each<[string, GeneralName, NameType | undefined]>([
    ['a UUID', uri('urn:uuid:5f0c1d6e-8b1a-4c55-9a57-2f0d6a5b0001'), 'uuid'],
    ['a UUID in capitals', uri('URN:UUID:5F0C1D6E-8B1A-4C55-9A57-2F0D6A5B0001'), 'uuid'],
    ['a SIP domain (S01)', uri('sip:example.com'), 'sip-domain'],
    ['a SIP domain in capitals', uri('SIP:Example.com'), 'sip-domain'],
    ['no SIP domain, being sips (S01, SX01)', uri('sips:example.com'), undefined],
    ['a SIP user (S08)', uri('sip:alice@example.com'), 'sip-user'],
    ['an IM address (S11)', uri('im:alice@example.com'), 'im'],
    ['a presence address (S11)', uri('pres:alice@example.com'), 'pres'],
    ['a JID (S11)', other(OID.xmppAddr), 'xmpp'],
    ['a mailbox', { type: 'email', value: 'alice@example.com' }, 'email'],
    ['an international mailbox (X21)', other(OID.smtpUtf8Mailbox), 'email'],
    ['a host', { type: 'dns', value: 'a.example' }, 'dns'],
    ['an address', { type: 'ip', value: '192.0.2.1' }, 'ip'],
    ['of no known scheme', uri('https://a.example/'), undefined],
    ['no URI at all', uri('a.example'), undefined],
    ['of an unknown kind of otherName', other('1.2.3.4'), undefined],
    ['a registered id', { type: 'registeredId', value: '1.2.3' }, undefined],
    ['a directory name', { type: 'directory', der: der.sequence() }, undefined],
  ])('%s', (_, name, type) => {
    expect(nameTypeOf(name)).toBe(type);
  });
});

describe('the subject', () => {
  const cn = (value: string) => [[{ type: OID.commonName, value }]];
  const san: GeneralName[] = [uri('sip:example.com'), { type: 'dns', value: 'proxy.example.com' }];

  test('of a device is its id', () => {
    expect(subjectOf({ subject: 'device' }, 'the-id', san)).toEqual(cn('the-id'));
  });

  test('by name is the first name, without its scheme', () => {
    expect(subjectOf({ subject: 'name' }, 'the-id', san)).toEqual(cn('example.com'));
  });

  test('by name is the first one that fits', () => {
    const long: GeneralName = { type: 'dns', value: `${'a'.repeat(60)}.example` };
    expect(subjectOf({ subject: 'name' }, 'the-id', [long, ...san])).toEqual(cn('example.com'));
    expect(subjectOf({ subject: 'name' }, 'the-id', [long])).toEqual([]);
  });

  test('is empty where the profile says so', () => {
    expect(subjectOf({ subject: 'empty' }, 'the-id', san)).toEqual([]);
  });
});
