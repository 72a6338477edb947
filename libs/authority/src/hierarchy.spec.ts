import { describe, expect, it } from '@jest/globals';
import { addSeconds } from '#kernel';
import { chooseIssuer, findRevoked, inHierarchy, serverRoot, type Issuer } from './hierarchy.js';

const NOW = new Date('2030-01-01T00:00:00Z');
const DAY = 86_400;

/** Names stand for keys: who certified it has the same text as key identifier. */
function ca(name: string, rest: Partial<Issuer> & { by?: string; days?: number } = {}): Issuer {
  const { by, days = 1000, ...facts } = rest;
  const text = (value: string): Buffer => Buffer.from(value);
  const known = {
    ...{ id: name, name, serial: name, kind: by === undefined ? 'root' : 'issuing', status: 'active', seq: 1 },
    ...{ subjectDer: text(name), issuerDer: text(by ?? name), authorityKeyId: text(by ?? name) },
    ...{ publicKey: { keyId: text(name) }, notAfter: addSeconds(NOW, days * DAY), terms: {}, above: [] },
  };
  return { ...known, ...facts } as unknown as Issuer;
}

const choose = (cas: Issuer[], wanted: { issuerOrgId?: string; profile?: string; days?: number } = {}) => {
  const { issuerOrgId, profile = 'device', days = 90 } = wanted;
  return chooseIssuer(cas, { issuerOrgId, profile, validitySeconds: days * DAY }, NOW)?.name;
};

describe('who issues', () => {
  it('is the most specific CA that fits, then the newest', () => {
    const all = ca('all', { by: 'r' });
    const newer = ca('newer', { by: 'r', seq: 2 });
    const own = ca('own', { by: 'r', terms: { organizationId: 'o' } });
    const servers = ca('servers', { by: 'r', terms: { profiles: ['tls-server'] } });
    const both = ca('both', { by: 'r', terms: { organizationId: 'o', profiles: ['device'] } });
    const cas = [all, newer, own, servers, both];
    expect(choose(cas)).toBe('newer');
    expect(choose(cas, { issuerOrgId: 'o' })).toBe('both');
    expect(choose(cas, { issuerOrgId: 'o', profile: 'sip-domain' })).toBe('own');
    expect(choose(cas, { profile: 'tls-server' })).toBe('servers');
    expect(choose([own, servers])).toBeUndefined();
  });

  it('is not one whose end cuts the certificate off while another lives long enough, and never one that has ended (X08)', () => {
    const ending = ca('ending', { by: 'r', seq: 9, days: 30 });
    const older = ca('older', { by: 'r', seq: 1 });
    expect(choose([ending, older])).toBe('older');
    expect(choose([ending, older], { days: 20 })).toBe('ending');
    expect(choose([ending])).toBe('ending');
    expect(choose([ca('ended', { by: 'r', days: -1 })])).toBeUndefined();
    // Whose devices they are weighs more than a few days.
    expect(choose([{ ...ending, terms: { organizationId: 'o' } }, older], { issuerOrgId: 'o' })).toBe('ending');
  });
});

describe('the root of our own servers', () => {
  const of = (...cas: Issuer[]): string | undefined => serverRoot(inHierarchy(cas), NOW)?.id;
  const own = ca('own');
  const foreign = ca('foreign', { seq: 3 });

  it('is the one that the CA which issues to them stands under, also one brought from elsewhere', () => {
    expect(of(own, foreign, ca('i', { by: 'own' }))).toBe('own');
    expect(of(own, foreign, ca('i', { by: 'own', status: 'retired' }), ca('x', { by: 'foreign', seq: 4 }))).toBe(
      'foreign',
    );
    const phones = ca('x', { by: 'foreign', seq: 4, terms: { profiles: ['device'] } });
    expect(of(own, foreign, ca('i', { by: 'own' }), phones)).toBe('own');
  });

  it('is the main one where none issues, and the newest of its name, which is linked to the others', () => {
    const next = ca('next', { seq: 5, subjectDer: own.subjectDer });
    expect(of(own, foreign, ca('i', { by: 'own', status: 'retired' }))).toBe('own');
    expect(of({ ...own, status: 'retired' }, next, ca('i', { by: 'own' }))).toBe('next');
    expect(of()).toBeUndefined();
  });
});

describe('the hierarchy', () => {
  it('is found by name and key, and a circle comes to an end', () => {
    const [root, middle, leaf] = inHierarchy([
      ca('r'),
      ca('m', { by: 'r', kind: 'intermediate' }),
      ca('l', { by: 'm' }),
    ]);
    expect([root, middle, leaf].map((one) => one!.above.map(({ name }) => name))).toEqual([[], ['r'], ['m', 'r']]);
    const circle = inHierarchy([ca('a', { by: 'b' }), ca('b', { by: 'a' })]);
    expect(circle[0]!.above.length).toBeLessThanOrEqual(8);
    const otherKey = inHierarchy([ca('r'), ca('x', { by: 'r', authorityKeyId: Buffer.from('another') })]);
    expect(otherKey[1]!.above).toEqual([]);
  });

  it('falls with whoever stands above', () => {
    const [, , leaf] = inHierarchy([ca('r'), ca('m', { by: 'r', kind: 'intermediate' }), ca('l', { by: 'm' })]);
    const view = (serial: string, status: string) => ({
      index: { certificate: (asked: string) => (asked === serial ? { status } : undefined) },
    });
    const standing = (serial: string, status: string) => findRevoked(view(serial, status) as never, leaf!);
    expect(standing('l', 'revoked')).toEqual({ name: 'l', held: false });
    expect(standing('m', 'revoked')).toEqual({ name: 'm', held: false });
    expect(standing('m', 'onHold')).toEqual({ name: 'm', held: true });
    expect(standing('m', 'active')).toBeUndefined();
  });
});
