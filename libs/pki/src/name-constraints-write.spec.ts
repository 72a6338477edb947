import { describe, expect, it } from '@jest/globals';
import type { GeneralName } from './general-name.js';
import { NameConstraints } from './name-constraints.js';
import { constrainsOneMailbox, encodeNameConstraints, type NameConstraintsTemplate } from './name-constraints-write.js';

function allows(template: NameConstraintsTemplate, name: GeneralName): boolean {
  const constraints = new NameConstraints();
  constraints.add(encodeNameConstraints(template));
  return constraints.refusal({ subject: [], san: [name] }) === undefined;
}

describe('written name constraints', () => {
  it('are read back as what they say, by form', () => {
    const template = {
      permitted: {
        dns: ['example.com'],
        email: ['.example.com', 'mail.example.org'],
        uri: ['.example.com'],
        ip: ['192.0.2.0/24'],
      },
      excluded: { dns: ['secret.example.com'], ip: ['192.0.2.128/25', '2001:db8::/32'] },
    };
    const cases: [GeneralName, boolean][] = [
      [{ type: 'dns', value: 'a.example.com' }, true],
      [{ type: 'dns', value: 'x.secret.example.com' }, false],
      [{ type: 'dns', value: 'example.org' }, false],
      [{ type: 'email', value: 'a@b.example.com' }, true],
      [{ type: 'email', value: 'a@mail.example.org' }, true],
      [{ type: 'email', value: 'a@example.com' }, false],
      [{ type: 'uri', value: 'https://x.example.com/' }, true],
      [{ type: 'uri', value: 'https://example.net/' }, false],
      [{ type: 'ip', value: '192.0.2.5' }, true],
      [{ type: 'ip', value: '192.0.2.200' }, false],
      [{ type: 'ip', value: '198.51.100.1' }, false],
    ];
    for (const [name, expected] of cases) expect([name, allows(template, name)]).toEqual([name, expected]);
    expect(constrainsOneMailbox(encodeNameConstraints(template))).toBe(false);
  });

  it.each<[string, NameConstraintsTemplate, string]>([
    ['nothing', {}, 'nameConstraints'],
    ['empty lists', { permitted: { dns: [] } }, 'nameConstraints'],
    ['one mailbox (X22)', { permitted: { email: ['a@example.com'] } }, 'permitted.email'],
    ['a wildcard', { permitted: { dns: ['*.example.com'] } }, 'permitted.dns'],
    ['a leading dot of a host', { excluded: { dns: ['.example.com'] } }, 'excluded.dns'],
    ['a whole URI', { permitted: { uri: ['https://example.com'] } }, 'permitted.uri'],
    ['an address without mask', { permitted: { ip: ['192.0.2.1'] } }, 'permitted.ip'],
    ['a mask too long', { permitted: { ip: ['192.0.2.1/33'] } }, 'permitted.ip'],
    ['an address inside its block', { permitted: { ip: ['192.0.2.1/24'] } }, 'permitted.ip'],
  ])('are refused for %s', (_, template, member) => {
    expect(() => encodeNameConstraints(template)).toThrow(expect.objectContaining({ kind: 'invalid', member }));
  });
});
