import { describe, expect, it } from '@jest/globals';
import { contextTag } from './der/tags.js';
import { der } from './der/write.js';
import type { Extension } from './extension.js';
import { OID } from './oids.js';
import { PolicyGraph, type PolicyInput } from './policy-graph.js';

const ANY = OID.anyPolicy;
const [A, B, C, D] = ['1.3.1', '1.3.2', '1.3.3', '1.3.4'] as const;

interface Step {
  policies?: string[];
  mappings?: [string, string][];
  requireExplicit?: number;
  inhibitMapping?: number;
  inhibitAny?: number;
  selfIssued?: boolean;
}

const skip = (number: number, value: number | undefined): Buffer[] =>
  value === undefined ? [] : [der.tagged(contextTag(number), Buffer.of(value))];

function extensionsOf(step: Step): Map<string, Extension> {
  const map = new Map<string, Extension>();
  const add = (oid: string, value: Buffer): void => void map.set(oid, { oid, critical: true, value });
  const { policies, mappings, requireExplicit, inhibitMapping, inhibitAny } = step;
  if (policies) add(OID.certificatePolicies, der.sequence(...policies.map((one) => der.sequence(der.oid(one)))));
  if (mappings) add(OID.policyMappings, der.sequence(...mappings.map((pair) => der.sequence(...pair.map(der.oid)))));
  if (requireExplicit !== undefined || inhibitMapping !== undefined) {
    add(OID.policyConstraints, der.sequence(...skip(0, requireExplicit), ...skip(1, inhibitMapping)));
  }
  if (inhibitAny !== undefined) add(OID.inhibitAnyPolicy, der.integer(inhibitAny));
  return map;
}

function holds(path: Step[], changes: Partial<PolicyInput> = {}): boolean {
  const input = { initial: 'any', explicit: true, mappingInhibited: false, anyInhibited: false, ...changes } as const;
  const graph = new PolicyGraph(input, path.length);
  return path.every((step, i) => {
    const certificate = { extensions: extensionsOf(step) };
    const last = i === path.length - 1;
    const entered = graph.enter(certificate, step.selfIssued === true, last);
    if (entered !== undefined) return false;
    return (
      (last ? graph.conclude(certificate) : graph.prepareNext(certificate, step.selfIssued === true)) === undefined
    );
  });
}

describe('policies along a path (RFC 5280 section 6.1, RFC 9618)', () => {
  it('do not matter unless an explicit one is required', () => {
    expect(holds([{}, {}], { explicit: false })).toBe(true);
    expect(holds([{}, {}])).toBe(false);
    expect(holds([{ policies: [A], requireExplicit: 0 }, {}], { explicit: false })).toBe(false);
    expect(holds([{ policies: [A], requireExplicit: 0 }, { policies: [A] }], { explicit: false })).toBe(true);
    expect(holds([{ policies: [A], requireExplicit: 2 }, {}], { explicit: false })).toBe(true);
    expect(holds([{}, { requireExplicit: 0 }], { explicit: false })).toBe(false);
  });

  it('hold if every certificate asserts one, and the verifier accepts it', () => {
    expect(holds([{ policies: [A] }, { policies: [A, B] }])).toBe(true);
    expect(holds([{ policies: [A] }, { policies: [B] }])).toBe(false);
    expect(holds([{ policies: [A] }, {}, { policies: [A] }])).toBe(false);
    expect(holds([{ policies: [A, B] }, { policies: [A] }], { initial: [A] })).toBe(true);
    expect(holds([{ policies: [A, B] }, { policies: [A] }], { initial: [B] })).toBe(false);
    expect(holds([{ policies: [A] }, { policies: [A] }], { initial: [] })).toBe(false);
  });

  it('are stood for by anyPolicy, unless that is inhibited', () => {
    expect(holds([{ policies: [ANY] }, { policies: [A] }], { initial: [A] })).toBe(true);
    expect(holds([{ policies: [A] }, { policies: [ANY] }], { initial: [A] })).toBe(true);
    expect(holds([{ policies: [ANY] }, { policies: [ANY] }], { initial: [C] })).toBe(true);
    expect(holds([{ policies: [ANY] }, { policies: [A] }], { anyInhibited: true })).toBe(false);
    expect(holds([{ policies: [A], inhibitAny: 0 }, { policies: [ANY] }])).toBe(false);
    expect(holds([{ policies: [A], inhibitAny: 1 }, { policies: [ANY] }, { policies: [A] }])).toBe(true);
    expect(holds([{ policies: [A], inhibitAny: 1 }, { policies: [A] }, { policies: [ANY] }])).toBe(false);
  });

  it('under inhibited anyPolicy pass a self-issued certificate that is not the last', () => {
    const renewal: Step = { policies: [ANY], selfIssued: true };
    expect(holds([{ policies: [A], inhibitAny: 0 }, renewal, { policies: [A] }])).toBe(true);
    expect(holds([{ policies: [A], inhibitAny: 0 }, renewal])).toBe(false);
  });

  it('are mapped, and judged in the terms of the anchor side', () => {
    const mapped: Step[] = [{ policies: [A], mappings: [[A, B]] }, { policies: [B] }];
    expect(holds(mapped, { initial: [A] })).toBe(true);
    expect(holds(mapped, { initial: [B] })).toBe(false);
    expect(holds([{ policies: [A], mappings: [[A, B]] }, { policies: [A] }])).toBe(false);
    expect(holds([{ policies: [ANY], mappings: [[A, B]] }, { policies: [B] }], { initial: [A] })).toBe(true);
    expect(
      holds(
        [
          {
            policies: [A, C],
            mappings: [
              [A, B],
              [C, D],
            ],
          },
          { policies: [D] },
        ],
        { initial: [A] },
      ),
    ).toBe(false);
    expect(
      holds(
        [
          {
            policies: [A, C],
            mappings: [
              [A, B],
              [C, D],
            ],
          },
          { policies: [D] },
        ],
        { initial: [C] },
      ),
    ).toBe(true);
  });

  it('are not mapped where that is inhibited, nor ever from or to anyPolicy', () => {
    const mapped: Step[] = [{ policies: [A], mappings: [[A, B]] }, { policies: [B] }];
    expect(holds(mapped, { mappingInhibited: true })).toBe(false);
    expect(holds([{ policies: [A], inhibitMapping: 0 }, ...mapped])).toBe(false);
    expect(holds([{ policies: [A], inhibitMapping: 1 }, ...mapped])).toBe(true);
    expect(holds([{ policies: [ANY], mappings: [[ANY, B]] }, { policies: [B] }])).toBe(false);
    expect(holds([{ policies: [A], mappings: [[A, ANY]] }, { policies: [A] }])).toBe(false);
  });

  it('cost linear work where the tree of RFC 5280 doubles at every level (X24)', () => {
    const names = Array.from({ length: 40 }, (_, i) => `1.3.6.${i}`);
    const mappings = names.flatMap((from) => names.map((to): [string, string] => [from, to])).slice(0, 256);
    const path: Step[] = Array.from({ length: 30 }, () => ({ policies: names, mappings }));
    const start = performance.now();
    expect(holds([...path, { policies: names }])).toBe(true);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  it.each([
    ['a repeated policy', { policies: [A, A] }],
    ['more than 256 policies', { policies: Array.from({ length: 257 }, (_, i) => `1.3.6.${i}`) }],
    ['no policy', { policies: [] }],
  ] as [string, Step][])('are malformed with %s', (_, step) => {
    expect(() => holds([step, { policies: [A] }])).toThrow();
  });
});
