import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isAuthorityError } from '#kernel';
import { encodeGeneralName, OID, textOtherName, type GeneralName } from '#pki';
import { generalNameOf, readGeneralNameForm } from './general-name-form.js';
import { NAME_TYPES } from '../profile.js';
import { nameText, readName, readTypedName, type DeviceName } from './read-name.js';

const UUID = 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6';

describe('names are read in one canonical form', () => {
  test.each([
    ['a SIP domain, scheme and host folded (S01, S24)', 'SIP:Example.COM', 'sip-domain', 'sip:example.com'],
    ['a SIP domain in A-labels (X20)', 'sip:XN--MNCHEN-3YA.example', 'sip-domain', 'sip:xn--mnchen-3ya.example'],
    ['a SIP user, whose part has case (S08, S22)', 'sip:Alice@EXAMPLE.com', 'sip-user', 'sip:Alice@example.com'],
    ['escapes that none needs (S24)', 'sip:%61l%69ce@example.com', 'sip-user', 'sip:alice@example.com'],
    ['a telephone number as user', 'sip:+15551234@example.com', 'sip-user', 'sip:+15551234@example.com'],
    ['an instant inbox (S11)', 'IM:alice@example.com', 'im', 'im:alice@example.com'],
    ['a presence (S11)', 'pres:alice@Example.com', 'pres', 'pres:alice@example.com'],
    ['a bare JID (S11)', 'xmpp:alice@Example.com', 'xmpp', 'xmpp:alice@example.com'],
    ['a mailbox (X21)', 'mailto:Alice.B@Example.com', 'email', 'mailto:Alice.B@example.com'],
    ['a mailbox beyond ASCII (X21)', 'mailto:u\u0308@example.com', 'email', 'mailto:\u00fc@example.com'],
    ['a host (X18)', 'dns:Gate.Example.com', 'dns', 'dns:gate.example.com'],
    ['an IPv6 address (X19)', 'ip:2001:DB8:0:0:0:0:0:1', 'ip', 'ip:2001:db8::1'],
    ['a device (S10)', `URN:UUID:${UUID.toUpperCase()}`, 'uuid', `urn:uuid:${UUID}`],
  ])('%s', (_, text, type, canonical) => {
    const name = readName(text);
    expect(name.type).toBe(type);
    expect(nameText(name)).toBe(canonical);
    expect(readTypedName(name.type, name.value)).toEqual(name);
  });
});

describe('names of another form are refused with their reason', () => {
  test.each([
    ['sips as domain (SX01)', 'sips:example.com', 'sips URI'],
    ['sips as domain, whatever its case (SX01)', 'SIPS:example.com', 'sips URI'],
    ['a wildcard (SX02, S03)', 'sip:*.example.com', 'wildcard'],
    ['a wildcard host (X18)', 'dns:*.example.com', 'wildcard'],
    ['a user without domain (SX03)', 'sip:alice@', 'lacks its domain'],
    ['a domain without user (SX03)', 'sip:@example.com', 'lacks its user'],
    ['nothing (SX03)', 'sip:', 'empty'],
    ['a port (SX04)', 'sip:example.com:5060', 'port'],
    ['a port behind a user (SX04)', 'sip:alice@example.com:5060', 'port'],
    ['a parameter (SX04)', 'sip:example.com;transport=tls', 'parameters'],
    ['a parameter of the user (SX04)', 'sip:alice;x=1@example.com', 'parameters'],
    ['a header (SX04)', 'sip:alice@example.com?subject=x', 'headers'],
    ['a password (S24)', 'sip:alice:secret@example.com', 'password'],
    ['slashes', 'sip://example.com', 'slashes'],
    ['a malformed UUID (SX06)', 'urn:uuid:f81d4fae', 'no UUID'],
    ['a UUID in braces (SX06)', `urn:uuid:{${UUID}}`, 'no UUID'],
    ['the nil UUID (SX06)', 'urn:uuid:00000000-0000-0000-0000-000000000000', 'nil UUID'],
    ['the max UUID (SX06)', 'urn:uuid:ffffffff-ffff-ffff-ffff-ffffffffffff', 'max UUID'],
    ['an inbox of nobody (SX08)', 'IM:', 'empty'],
    ['an inbox without user (SX08)', 'im:example.com', 'lacks its user'],
    ['an escaped @ (SX09)', 'sip:alice%40evil.example@example.com', 'the escape %40'],
    ['an escaped @ and no other (SX09)', 'sip:alice%40example.com', 'escape in its domain'],
    ['an escaped @ of a mailbox (SX09)', 'mailto:alice%40evil.example@example.com', 'user part'],
    ['two @', 'sip:alice@evil.example@example.com', 'more than one @'],
    ['half an escape', 'sip:al%6@example.com', 'escape that is none'],
    ['an escape that hides a line end', 'sip:alice%0d%0a@example.com', 'the escape %0d'],
    ['a U-label (SX10, X20)', 'sip:m\u00fcnchen.example', 'A-labels'],
    ['an A-label that decodes to nothing (X20)', 'sip:xn--99999.example', 'letters, digits and hyphens'],
    ['an address as domain', 'sip:192.0.2.1', 'address'],
    ['an IPv6 address as domain', 'sip:alice@[2001:db8::1]', 'address'],
    ['a single label', 'dns:localhost', 'single label'],
    ['a trailing dot', 'dns:example.com.', 'letters, digits and hyphens'],
    ['an underscore', 'dns:_sip.example.com', 'letters, digits and hyphens'],
    ['a space (X18)', 'dns: ', 'white space'],
    ['a NUL', 'dns:example.com\0.evil.example', 'not seen'],
    ['a line end', 'sip:alice@example.com\r\n', 'not seen'],
    ['a byte order mark (X21)', 'mailto:\ufeffalice@example.com', 'not seen'],
    ['a direction mark', 'mailto:\u202ealice@example.com', 'not seen'],
    ['an upper-case JID', 'xmpp:Alice@example.com', 'user part'],
    ['a mail route', 'mailto:a%b@example.com', 'user part'],
    ['a number that is no address (X19)', 'ip:192.0.2', 'no IPv4 or IPv6'],
    ['an address with a zone (X19)', 'ip:fe80::1%eth0', 'no IPv4 or IPv6'],
    ['an IPv4 address within IPv6', 'ip:::ffff:192.0.2.1', 'is an IPv4 address'],
    ['nobody', 'ip:0.0.0.0', 'nobody'],
    ['no scheme', 'example.com', 'no scheme'],
    ['another scheme', 'https://example.com', 'no scheme'],
    ['another URN', 'urn:isbn:1', 'no scheme'],
    ['a user part of 65 octets', `sip:${'a'.repeat(65)}@example.com`, '64 octets'],
    ['a name without end', `sip:${'a.'.repeat(400)}com`, '400 characters'],
  ])('%s', (_, text, why) => {
    expect(() => readName(text)).toThrow(
      expect.objectContaining({ kind: 'invalid', code: 'nameForm', detail: expect.stringContaining(why) }),
    );
  });
});

const label = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?$/).filter((one) => !/^xn--/i.test(one));
const host = fc.tuple(label, fc.stringMatching(/^[a-zA-Z]{2,8}$/)).map((labels) => labels.join('.'));
const user = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const escaped = user.map((one) =>
  [...one].map((c, i) => (i % 2 === 0 ? `%${c.charCodeAt(0).toString(16)}` : c)).join(''),
);
const good = fc.oneof(
  host.map((one) => `sip:${one}`),
  fc.tuple(fc.oneof(user, escaped), host).map(([one, at]) => `sip:${one}@${at}`),
  fc.tuple(fc.constantFrom('im', 'pres', 'xmpp', 'mailto'), user, host).map(([s, one, at]) => `${s}:${one}@${at}`),
  host.map((one) => `dns:${one}`),
  fc.oneof(fc.ipV4(), fc.ipV6()).map((one) => `ip:${one}`),
  fc.uuid().map((one) => `urn:uuid:${one}`),
);
const scheme = fc.constantFrom('sip:', 'sips:', 'im:', 'pres:', 'xmpp:', 'mailto:', 'dns:', 'ip:', 'urn:uuid:', '');
const bits = fc.constantFrom(
  '@',
  '%40',
  '%',
  ':',
  ';',
  '?',
  '.',
  '*',
  '\0',
  '\r\n',
  'a',
  'example.com',
  '%00',
  '[',
  '/',
);
const anything = fc.oneof(
  good,
  fc.tuple(scheme, fc.string({ unit: 'grapheme' })).map((parts) => parts.join('')),
  fc.tuple(scheme, fc.array(bits, { maxLength: 8 })).map(([one, rest]) => one + rest.join('')),
);

const readOrRefuse = (text: string): DeviceName | undefined => {
  try {
    return readName(text);
  } catch (error) {
    if (isAuthorityError(error, 'invalid')) return undefined;
    throw error;
  }
};

describe('of any text', () => {
  test('the canonical form is a fixed point, also by way of the certificate', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const name = readOrRefuse(text);
        if (name === undefined) return;
        expect(readName(nameText(name))).toEqual(name);
        expect(readTypedName(name.type, name.value)).toEqual(name);
        const general = generalNameOf(name);
        expect(encodeGeneralName(general).length).toBeGreaterThan(2);
        expect(readGeneralNameForm(general)).toEqual(name);
      }),
      { numRuns: 2000, seed: 5922 },
    );
  });

  test('nothing passes with two @, an escape, a wildcard, a parameter, a control character or an upper-case host', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const value = readOrRefuse(text)?.value;
        if (value === undefined) return;
        expect(value.split('@').length).toBeLessThanOrEqual(2);
        expect(value).not.toMatch(/[%;?\s\p{C}]/u);
        const domain = value.slice(value.lastIndexOf('@') + 1);
        expect(domain).toBe(domain.toLowerCase());
        expect(domain).not.toMatch(/[*_[\]/]/);
      }),
      { numRuns: 2000, seed: 3261 },
    );
  });

  test('every type has been met, so that the two above say something', () => {
    const met = new Set(fc.sample(good, { numRuns: 300, seed: 1 }).map((text) => readOrRefuse(text)?.type));
    for (const type of NAME_TYPES) expect(met).toContain(type);
  });
});

describe('names stand in subjectAltName', () => {
  test.each<[string, string, GeneralName]>([
    ['a SIP domain as URI (S01)', 'sip:example.com', { type: 'uri', value: 'sip:example.com' }],
    ['a user as URI (S08)', 'sip:alice@example.com', { type: 'uri', value: 'sip:alice@example.com' }],
    ['a device as URN (S10)', `urn:uuid:${UUID}`, { type: 'uri', value: `urn:uuid:${UUID}` }],
    ['a JID as XmppAddr (S11)', 'xmpp:alice@example.com', textOtherName(OID.xmppAddr, 'alice@example.com')],
    ['an ASCII mailbox as rfc822Name (X21)', 'mailto:alice@example.com', { type: 'email', value: 'alice@example.com' }],
    [
      'another mailbox as SmtpUTF8Mailbox (X21)',
      'mailto:\u00fc@example.com',
      textOtherName(OID.smtpUtf8Mailbox, '\u00fc@example.com'),
    ],
    ['a host as dNSName', 'dns:gate.example.com', { type: 'dns', value: 'gate.example.com' }],
    ['an address as iPAddress (X19)', 'ip:192.0.2.1', { type: 'ip', value: '192.0.2.1' }],
  ])('%s', (_, text, general) => {
    expect(generalNameOf(readName(text))).toEqual(general);
    expect(readGeneralNameForm(general)).toEqual(readName(text));
  });

  test('a name of a form that no profile knows is none; one of a known form that is broken is refused', () => {
    expect(readGeneralNameForm({ type: 'uri', value: 'https://example.com/' })).toBeUndefined();
    expect(readGeneralNameForm({ type: 'registeredId', value: '1.2.3' })).toBeUndefined();
    expect(() => readGeneralNameForm({ type: 'uri', value: 'sips:example.com' })).toThrow(/sips/);
    const number = { type: 'other', oid: OID.xmppAddr, value: Buffer.of(2, 1, 1) } as const;
    expect(() => readGeneralNameForm(number)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});
