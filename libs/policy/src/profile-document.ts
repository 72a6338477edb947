import { AuthorityError, type Lifetimes } from '#kernel';
import { GENERATED_KEY_TYPES, KEY_USAGES, type KeyType } from '#pki';
import { NAME_TYPES, type NameRule, type Profile, type Supersede } from './profile.js';
import { BACKDATE, DELAY, MAX_NAMES_OF_TYPE } from './profile-bounds.js';
import { ruleFaults } from './profile-rules.js';
import { shippedProfile } from './shipped-profiles.js';

/** What is wrong with a profile; `member` as in `renewal.sameKey` or `san[1].max`. */
export interface ProfileFault {
  member: string;
  text: string;
}

type Plain = Omit<Profile, 'version' | 'pathLen' | 'san' | 'renewal' | 'supersede'>;
/** What `profileDocument` makes. */
export type ProfileDocument = { readonly [Member in keyof Plain]: Plain[Member] } & Readonly<{
  san: readonly { readonly [Member in keyof NameRule]: NameRule[Member] }[];
  pathLen?: number;
  renewal: Readonly<{ sameKey: boolean; afterExpirySeconds: number }>;
  supersede: Readonly<{ mode: 'never' | 'at-once' } | { mode: 'after'; seconds: number }>;
}>;

/** In this order they stand in a document. */
export const KEY_TYPES: readonly KeyType[] = GENERATED_KEY_TYPES;

const MAX_RULES = 10;
const MAX_EKU = 10;
const NAME = /^(?=.{1,40}$)[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const OID_FORM = /^[0-2](\.(0|[1-9]\d{0,9})){2,19}$/;

/** What members that are left out are. */
const DEFAULTS = {
  keyUsage: ['digitalSignature'],
  backdateSeconds: 600,
  revocation: 'crl+ocsp',
  ca: false,
  ocspNoCheck: false,
  approval: false,
  renewal: { sameKey: true, afterExpirySeconds: 0 },
  supersede: { mode: 'never' },
} as const;

/** Reads members of one object, and notes what is wrong with them instead of stopping at the first. */
class Reader {
  constructor(
    private readonly value: Readonly<Record<string, unknown>>,
    private readonly faults: ProfileFault[],
    private readonly at = '',
  ) {}

  fault(member: string, text: string): void {
    this.faults.push({ member: `${this.at}${member}`, text });
  }

  only(known: readonly string[]): void {
    for (const member of Object.keys(this.value)) if (!known.includes(member)) this.fault(member, 'no such member');
  }

  has(member: string): boolean {
    return this.value[member] !== undefined;
  }

  text(member: string, form: RegExp, wanted: string): string {
    const text = this.value[member];
    if (typeof text === 'string' && form.test(text)) return text;
    this.fault(member, `must be ${wanted}`);
    return '';
  }

  integer(member: string, { min, max }: { min: number; max: number }): number {
    const number = this.value[member];
    if (typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max) return number;
    this.fault(member, `must be a whole number between ${min} and ${max}`);
    return min;
  }

  flag(member: string): boolean {
    const flag = this.value[member];
    if (typeof flag !== 'boolean') this.fault(member, 'must be true or false');
    return flag === true;
  }

  oneOf<T extends string>(member: string, known: readonly T[]): T | undefined {
    const found = known.find((one) => one === this.value[member]);
    if (found === undefined) this.fault(member, `must be one of ${known.join(', ')}`);
    return found;
  }

  /** Some of `known`, each once, in the order of `known`. */
  someOf<T extends string>(member: string, known: readonly T[]): T[] {
    const list = this.value[member];
    const found = Array.isArray(list) ? known.filter((one) => list.includes(one)) : [];
    if (found.length === 0 || found.length !== (list as unknown[]).length) {
      this.fault(member, `must be some of ${known.join(', ')}, each once`);
    }
    return found;
  }

  list(member: string, most: number): unknown[] {
    const list = this.value[member];
    if (Array.isArray(list) && list.length <= most) return list;
    this.fault(member, `must be a list of at most ${most}`);
    return [];
  }

  object(member: string): Reader {
    return this.within(this.value[member], member);
  }

  within(value: unknown, member: string): Reader {
    if (!isObject(value)) this.fault(member, 'must be an object');
    return new Reader(isObject(value) ? value : {}, isObject(value) ? this.faults : [], `${this.at}${member}.`);
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Everything that is wrong with a profile document, and the profile where nothing is. The document is what `profileDocument`
 * makes; members that have a default may be left out. `version` is not looked at.
 */
export function examineProfile(
  value: unknown,
  lifetimes: Lifetimes,
): { profile: Omit<Profile, 'version'>; faults: [] } | { profile: undefined; faults: ProfileFault[] } {
  if (!isObject(value)) return { profile: undefined, faults: [{ member: '', text: 'a profile is a JSON object' }] };
  const faults: ProfileFault[] = [];
  const profile = readMembers(new Reader({ ...DEFAULTS, ...value }, faults));
  // What could not be read would only be found wrong a second time.
  if (faults.length === 0) faults.push(...ruleFaults(profile, shippedProfile(lifetimes, profile.name), lifetimes));
  return faults.length === 0 ? { profile, faults: [] } : { profile: undefined, faults };
}

/** The profile that a document describes. Throws `invalid`, with the member, for the first thing that is wrong with it. */
export function readProfileDocument(value: unknown, lifetimes: Lifetimes): Omit<Profile, 'version'> {
  const { profile, faults } = examineProfile(value, lifetimes);
  if (profile !== undefined) return profile;
  const [first = { member: '', text: 'cannot be read' }] = faults;
  const { member, text } = first;
  throw new AuthorityError('invalid', member === '' ? text : `${member}: ${text}`, { member });
}

function readMembers(reader: Reader): Omit<Profile, 'version'> {
  reader.only(MEMBERS);
  const ca = reader.flag('ca');
  return {
    name: reader.text('name', NAME, 'at most 40 lower-case letters, digits and single hyphens, a letter first'),
    description: reader.text('description', /^[^\p{Cc}]{1,200}$/u, '1 to 200 characters without control characters'),
    keyTypes: reader.someOf('keyTypes', KEY_TYPES),
    keyUsage: reader.someOf('keyUsage', KEY_USAGES),
    eku: readPurposes(reader),
    validitySeconds: reader.integer('validitySeconds', { min: 1, max: Number.MAX_SAFE_INTEGER }),
    backdateSeconds: reader.integer('backdateSeconds', BACKDATE),
    subject: reader.oneOf('subject', ['device', 'name', 'empty', 'given']) ?? 'device',
    san: readNameRules(reader),
    revocation: reader.oneOf('revocation', ['crl+ocsp', 'crl', 'none']) ?? 'crl+ocsp',
    ca,
    pathLen: reader.has('pathLen') ? reader.integer('pathLen', { min: 0, max: 10 }) : undefined,
    ocspNoCheck: reader.flag('ocspNoCheck'),
    approval: reader.flag('approval'),
    renewal: readRenewal(reader.object('renewal')),
    supersede: readSupersede(reader.object('supersede')),
  };
}

const MEMBERS = [
  'name',
  'version',
  'description',
  'keyTypes',
  'keyUsage',
  'eku',
  'validitySeconds',
  'backdateSeconds',
  'subject',
  'san',
  'revocation',
  'ca',
  'pathLen',
  'ocspNoCheck',
  'approval',
  'renewal',
  'supersede',
] as const satisfies (keyof Profile)[];

function readPurposes(reader: Reader): string[] {
  const list = reader.list('eku', MAX_EKU);
  list.forEach((oid, i) => {
    if (typeof oid !== 'string' || !OID_FORM.test(oid))
      reader.fault(`eku[${i}]`, 'must be an OID like 1.3.6.1.5.5.7.3.2');
  });
  if (new Set(list).size !== list.length) reader.fault('eku', 'names a purpose twice');
  return list.filter((oid) => typeof oid === 'string');
}

function readNameRules(reader: Reader): NameRule[] {
  const rules = reader.list('san', MAX_RULES).map((one, i): NameRule => {
    const rule = reader.within(one, `san[${i}]`);
    rule.only(['type', 'min', 'max']);
    const min = rule.integer('min', { min: 0, max: MAX_NAMES_OF_TYPE });
    return {
      type: rule.oneOf('type', NAME_TYPES) ?? 'uuid',
      min,
      max: rule.integer('max', { min: Math.max(min, 1), max: MAX_NAMES_OF_TYPE }),
    };
  });
  if (new Set(rules.map(({ type }) => type)).size !== rules.length) reader.fault('san', 'has two rules for one type');
  return rules;
}

function readRenewal(renewal: Reader): Profile['renewal'] {
  renewal.only(['sameKey', 'afterExpirySeconds']);
  return {
    sameKey: renewal.flag('sameKey'),
    afterExpirySeconds: renewal.integer('afterExpirySeconds', { min: 0, max: DELAY.max }),
  };
}

function readSupersede(supersede: Reader): Supersede {
  const mode = supersede.oneOf('mode', ['never', 'at-once', 'after']) ?? 'never';
  supersede.only(mode === 'after' ? ['mode', 'seconds'] : ['mode']);
  return mode === 'after' ? { mode, seconds: supersede.integer('seconds', DELAY) } : { mode };
}

/** A profile as it is stored and exported, without the version: every member that it has, JSON alone. */
export function profileDocument(profile: Omit<Profile, 'version'>): ProfileDocument {
  const { name, description, keyTypes, keyUsage, eku, validitySeconds, backdateSeconds, subject } = profile;
  const { san, revocation, ca, pathLen, ocspNoCheck, approval, renewal, supersede } = profile;
  return {
    ...{ name, description, keyTypes, keyUsage, eku, validitySeconds, backdateSeconds, subject },
    san: san.map(({ type, min, max }) => ({ type, min, max })),
    ...{ revocation, ca, ocspNoCheck, approval },
    ...(pathLen === undefined ? {} : { pathLen }),
    renewal: { sameKey: renewal.sameKey, afterExpirySeconds: renewal.afterExpirySeconds },
    supersede: supersede.mode === 'after' ? { mode: 'after', seconds: supersede.seconds } : { mode: supersede.mode },
  };
}

/**
 * The profile of a stored document, which was examined before it was stored. Before profiles were whole documents, only
 * what differed from the shipped one was stored.
 */
export function storedProfile(document: unknown, name: string, version: number, shipped: Profile | undefined): Profile {
  const base = shipped ?? { ...DEFAULTS, pathLen: undefined };
  const found = { ...base, ...(document as Partial<Profile>), name, version } as Profile;
  // Never a type that a later release does not take any more.
  return { ...found, keyTypes: KEY_TYPES.filter((one) => found.keyTypes.includes(one)) };
}
