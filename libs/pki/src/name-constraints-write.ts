import { isIP } from 'node:net';
import { AuthorityError } from '#kernel';
import { DerReader } from './der/read.js';
import { contextTag } from './der/tags.js';
import { der } from './der/write.js';
import { encodeGeneralName, encodeIp } from './general-name.js';

/** Subtrees by the form of their names. Forms that are left out are not constrained. */
export type ConstrainedNames = {
  /** A host and everything below it. */
  dns?: readonly string[] | undefined;
  /** All mailboxes of a host, or with a leading dot of every host below a domain; never one mailbox (X22). */
  email?: readonly string[] | undefined;
  /** The host of the authority, or with a leading dot every host below a domain. */
  uri?: readonly string[] | undefined;
  /** CIDR blocks. */
  ip?: readonly string[] | undefined;
};

export type NameConstraintsTemplate = {
  permitted?: ConstrainedNames | undefined;
  excluded?: ConstrainedNames | undefined;
};

const LABEL = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
const HOST = new RegExp(`^${LABEL}(\\.${LABEL})*$`, 'i');

/**
 * Value of the extension (RFC 5280 section 4.2.1.10), subtrees with minimum 0 and without maximum. Throws AuthorityError
 * 'invalid', with the member at fault, for what is no such name and for a template that constrains nothing.
 */
export function encodeNameConstraints(template: NameConstraintsTemplate): Buffer {
  const parts = (['permitted', 'excluded'] as const).map((member) => subtrees(member, template[member] ?? {}));
  if (parts.every((one) => one.length === 0)) throw refusal('nameConstraints', 'must constrain something');
  return der.sequence(...parts.flatMap((one, i) => (one.length === 0 ? [] : [der.constructed(i, ...one)])));
}

function subtrees(member: string, names: ConstrainedNames): Buffer[] {
  const { dns = [], email = [], uri = [], ip = [] } = names;
  const host = (form: 'dns' | 'email' | 'uri', value: string): Buffer => {
    const bare = form !== 'dns' && value.startsWith('.') ? value.slice(1) : value;
    if (value.length > 253 || !HOST.test(bare)) {
      throw refusal(`${member}.${form}`, `must be host names${form === 'dns' ? '' : ' or .domains'}, not ${value}`);
    }
    return encodeGeneralName({ type: form, value });
  };
  return [
    ...dns.map((one) => host('dns', one)),
    ...email.map((one) => host('email', one)),
    ...uri.map((one) => host('uri', one)),
    ...ip.map((one) => addressBlock(`${member}.ip`, one)),
  ].map((base) => der.sequence(base));
}

/** Address and mask, 8 or 32 octets. */
function addressBlock(member: string, block: string): Buffer {
  const [, address = '', bits = ''] = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(block) ?? [];
  const size = isIP(address) === 4 ? 4 : 16;
  if (isIP(address) === 0 || Number(bits) > size * 8) throw refusal(member, `must be CIDR blocks, not ${block}`);
  const mask = Buffer.alloc(size);
  for (let bit = 0; bit < Number(bits); bit++) mask[bit >> 3]! |= 0x80 >> (bit & 7);
  const octets = encodeIp(address);
  if (octets.some((octet, i) => (octet & ~mask[i]!) !== 0)) {
    throw refusal(member, `must be the first address of its block, not ${block}`);
  }
  return der.primitive(7, Buffer.concat([octets, mask]));
}

/** X22: whether a constraint names one mailbox. Throws `malformed` for what is no NameConstraints. */
export function constrainsOneMailbox(value: Buffer): boolean {
  const fields = DerReader.openSequence(value, 'nameConstraints');
  for (const number of [0, 1]) {
    const list = fields.optionalContext(number);
    while (list !== undefined && !list.done) {
      const subtree = list.sequence();
      if (subtree.peekTag() === contextTag(1) && subtree.content(contextTag(1)).includes('@')) return true;
    }
  }
  return false;
}

function refusal(member: string, text: string): AuthorityError {
  return new AuthorityError('invalid', `${member}: ${text}`, { member });
}
