import type { Certificate } from './certificate.js';
import { DerReader } from './der/read.js';
import { contextTag } from './der/tags.js';
import { OID } from './oids.js';

/** Inputs (c) to (g) of RFC 5280 section 6.1.1 as far as they concern policies. */
export interface PolicyInput {
  /** user-initial-policy-set. */
  initial: string[] | 'any';
  /** initial-explicit-policy. */
  explicit: boolean;
  /** initial-policy-mapping-inhibit. */
  mappingInhibited: boolean;
  /** initial-any-policy-inhibit. */
  anyInhibited: boolean;
}

/** A node of the graph: one policy at one depth; unlike in the tree of RFC 5280 it exists once per depth. */
interface Node {
  policy: string;
  expected: Set<string>;
  parents: Node[];
}

/** What of a certificate is looked at. */
type Extended = Pick<Certificate, 'extensions'>;

type Level = Map<string, Node>;

/** A certificate with more policies or mappings than this is refused: the graph stays small whatever the path. */
const MAX_POLICIES = 256;

/**
 * Policy processing along a path with the graph of RFC 9618 section 5, which is linear where the tree of RFC 5280 section 6.1
 * is exponential (X24). Feed the certificates from the anchor's side: `enter` each, `prepareNext` each but the last, then
 * `conclude`. Each returns why the path fails, or undefined. `malformed` is thrown for broken extensions.
 */
export class PolicyGraph {
  private readonly levels: Level[];
  private empty = false;
  private explicitPolicy: number;
  private policyMapping: number;
  private inhibitAnyPolicy: number;

  constructor(
    private readonly input: PolicyInput,
    pathLength: number,
  ) {
    this.levels = [
      new Map([[OID.anyPolicy, { policy: OID.anyPolicy, expected: new Set([OID.anyPolicy]), parents: [] }]]),
    ];
    this.explicitPolicy = input.explicit ? 0 : pathLength + 1;
    this.policyMapping = input.mappingInhibited ? 0 : pathLength + 1;
    this.inhibitAnyPolicy = input.anyInhibited ? 0 : pathLength + 1;
  }

  /** RFC 9618 section 5.2 (steps d to f). `last`: the certificate is the target. */
  enter(certificate: Extended, selfIssued: boolean, last: boolean): string | undefined {
    const extension = certificate.extensions.get(OID.certificatePolicies);
    if (extension === undefined) this.empty = true;
    else {
      const policies = readPolicies(extension.value);
      if (!this.empty) this.grow(policies, this.inhibitAnyPolicy > 0 || (!last && selfIssued));
    }
    return this.explicitPolicy > 0 || !this.empty ? undefined : 'an explicit policy is required and none is left';
  }

  /** RFC 5280 section 6.1.4 (a, b, h, i, j), mapping as in RFC 9618 section 5.3. */
  prepareNext(certificate: Extended, selfIssued: boolean): string | undefined {
    const mapping = certificate.extensions.get(OID.policyMappings);
    if (mapping !== undefined) {
      const mappings = readMappings(mapping.value);
      if (mappings.has(OID.anyPolicy) || [...mappings.values()].some((to) => to.has(OID.anyPolicy))) {
        return 'a certificate maps from or to anyPolicy';
      }
      if (!this.empty) this.map(mappings);
    }
    if (!selfIssued) {
      this.explicitPolicy = Math.max(this.explicitPolicy - 1, 0);
      this.policyMapping = Math.max(this.policyMapping - 1, 0);
      this.inhibitAnyPolicy = Math.max(this.inhibitAnyPolicy - 1, 0);
    }
    const constraints = readConstraints(certificate);
    this.explicitPolicy = Math.min(this.explicitPolicy, constraints.requireExplicitPolicy);
    this.policyMapping = Math.min(this.policyMapping, constraints.inhibitPolicyMapping);
    this.inhibitAnyPolicy = Math.min(this.inhibitAnyPolicy, readInhibitAnyPolicy(certificate));
    return undefined;
  }

  /** RFC 5280 section 6.1.5 (a, b, g), the last as in RFC 9618 section 5.4. */
  conclude(target: Extended): string | undefined {
    this.explicitPolicy = Math.max(this.explicitPolicy - 1, 0);
    if (readConstraints(target).requireExplicitPolicy === 0) this.explicitPolicy = 0;
    if (this.explicitPolicy > 0 || this.hasAcceptedPolicy()) return undefined;
    return 'none of the accepted policies holds along the path';
  }

  private grow(policies: Set<string>, anyPolicyAllowed: boolean): void {
    const above = this.level();
    const expecting = new Map<string, Node[]>();
    for (const node of above.values()) {
      for (const policy of node.expected) {
        const nodes = expecting.get(policy);
        if (nodes === undefined) expecting.set(policy, [node]);
        else nodes.push(node);
      }
    }
    const any = above.get(OID.anyPolicy);
    const level: Level = new Map();
    const create = (policy: string, parents: Node[]): void => {
      level.set(policy, { policy, expected: new Set([policy]), parents });
    };
    for (const policy of policies) {
      if (policy === OID.anyPolicy) continue;
      const parents = expecting.get(policy) ?? (any === undefined ? [] : [any]);
      if (parents.length > 0) create(policy, parents);
    }
    if (policies.has(OID.anyPolicy) && anyPolicyAllowed) {
      for (const [policy, parents] of expecting) if (!level.has(policy)) create(policy, parents);
    }
    this.levels.push(level);
    this.prune();
  }

  private map(mappings: Map<string, Set<string>>): void {
    const level = this.level();
    const any = level.get(OID.anyPolicy);
    for (const [from, to] of mappings) {
      const node = level.get(from);
      if (this.policyMapping === 0) level.delete(from);
      else if (node !== undefined) node.expected = to;
      else if (any !== undefined) level.set(from, { policy: from, expected: to, parents: any.parents });
    }
    this.prune();
  }

  /** Deletes nodes without children, from the bottom up; an empty last level empties the graph. */
  private prune(): void {
    for (let depth = this.levels.length - 1; depth > 0; depth--) {
      const parents = new Set([...(this.levels[depth] as Level).values()].flatMap((node) => node.parents));
      const above = this.levels[depth - 1] as Level;
      const before = above.size;
      for (const [policy, node] of above) if (!parents.has(node)) above.delete(policy);
      if (above.size === before) break;
    }
    if (this.level().size === 0) this.empty = true;
  }

  /** True if the user-constrained-policy-set is not empty. */
  private hasAcceptedPolicy(): boolean {
    if (this.empty) return false;
    const { initial } = this.input;
    if (initial === 'any' || initial.includes(OID.anyPolicy)) return true;
    if (this.level().has(OID.anyPolicy)) return initial.length > 0;
    // What the anchor's side vouches for: policies that hang from anyPolicy, in the terms of that domain.
    return this.levels
      .flatMap((level) => [...level.values()])
      .some((node) => node.parents.some((p) => p.policy === OID.anyPolicy) && initial.includes(node.policy));
  }

  private level(): Level {
    return this.levels.at(-1) as Level;
  }
}

function readPolicies(value: Buffer): Set<string> {
  const list = DerReader.openSequence(value, 'certificatePolicies');
  const policies = new Set<string>();
  if (list.done) list.fail('names no policy');
  while (!list.done) {
    const policy = list.sequence().oid();
    if (policies.has(policy)) list.fail(`repeats policy ${policy}`);
    policies.add(policy);
    if (policies.size > MAX_POLICIES) list.fail(`has more than ${MAX_POLICIES} policies`);
  }
  return policies;
}

/** By issuerDomainPolicy. */
function readMappings(value: Buffer): Map<string, Set<string>> {
  const list = DerReader.openSequence(value, 'policyMappings');
  const mappings = new Map<string, Set<string>>();
  if (list.done) list.fail('maps nothing');
  for (let count = 0; !list.done; count++) {
    if (count === MAX_POLICIES) list.fail(`has more than ${MAX_POLICIES} mappings`);
    const pair = list.sequence();
    const from = pair.oid();
    const to = pair.oid();
    pair.finish();
    const known = mappings.get(from);
    if (known === undefined) mappings.set(from, new Set([to]));
    else known.add(to);
  }
  return mappings;
}

/** Skip counts; absent ones are infinite. */
function readConstraints(certificate: Extended): { requireExplicitPolicy: number; inhibitPolicyMapping: number } {
  const extension = certificate.extensions.get(OID.policyConstraints);
  if (extension === undefined) return { requireExplicitPolicy: Infinity, inhibitPolicyMapping: Infinity };
  const fields = DerReader.openSequence(extension.value, 'policyConstraints');
  const requireExplicitPolicy = readSkip(fields, 0);
  const inhibitPolicyMapping = readSkip(fields, 1);
  fields.finish();
  return { requireExplicitPolicy, inhibitPolicyMapping };
}

function readSkip(fields: DerReader, number: number): number {
  if (fields.peekTag() !== contextTag(number)) return Infinity;
  const skip = fields.smallInteger(contextTag(number));
  return skip >= 0 ? skip : fields.fail('skips a negative number of certificates');
}

function readInhibitAnyPolicy(certificate: Extended): number {
  const extension = certificate.extensions.get(OID.inhibitAnyPolicy);
  if (extension === undefined) return Infinity;
  const reader = DerReader.open(extension.value, 'inhibitAnyPolicy');
  const skip = reader.smallInteger();
  reader.finish();
  return skip >= 0 ? skip : reader.fail('skips a negative number of certificates');
}
