import type { Certificate } from './certificate.js';
import { DerReader } from './der/read.js';
import { contextTag } from './der/tags.js';
import type { GeneralName } from './general-name.js';
import { encodeIp, readGeneralName } from './general-name.js';
import { canonicalRdns, readName } from './name.js';
import { OID } from './oids.js';

/**
 * The name constraints collected along a path, RFC 5280 sections 4.2.1.10 and 6.1. Forms that are judged: directoryName,
 * rfc822Name (also emailAddress in the subject and SmtpUTF8Mailbox, RFC 9598 section 6), dNSName, URI and iPAddress. A
 * constraint on any other form forbids every name of that form, which is what the RFC leaves to those who cannot judge it.
 */
export class NameConstraints {
  /** One group per certificate and form: a name must lie in a subtree of every group of its form. */
  private readonly permitted: Subtree[][] = [];
  private readonly excluded: Subtree[] = [];
  private comparisons = 0;

  /** Adds a NameConstraints value. Throws `malformed`; a minimum or maximum distance counts as malformed too. */
  add(value: Buffer): void {
    const fields = DerReader.openSequence(value, 'nameConstraints');
    const permitted = fields.optionalContext(0);
    const excluded = fields.optionalContext(1);
    fields.finish();
    if (permitted === undefined && excluded === undefined) fields.fail('constrains nothing');
    if (permitted !== undefined) {
      const byForm = Map.groupBy(readSubtrees(permitted), (subtree) => subtree.form);
      this.permitted.push(...byForm.values());
    }
    if (excluded !== undefined) this.excluded.push(...readSubtrees(excluded));
  }

  /**
   * Why this certificate's names are not allowed, undefined if they are. Work is bounded: past 250,000 comparisons on one
   * path the answer is a refusal.
   */
  refusal(certificate: Pick<Certificate, 'subject' | 'san'>): string | undefined {
    if (this.permitted.length === 0 && this.excluded.length === 0) return undefined;
    for (const name of constrainedNames(certificate)) {
      if (!canBeJudged(name) && this.constrains(name.form)) return `${describe(name)} is of a constrained form`;
      if (this.excluded.some((subtree) => this.covers(subtree, name))) return `${describe(name)} is excluded`;
      for (const group of this.permitted) {
        if (group[0]?.form !== name.form) continue;
        if (!group.some((subtree) => this.covers(subtree, name))) return `${describe(name)} is not permitted`;
      }
      if (this.comparisons > MAX_COMPARISONS) return 'there are too many names and constraints to compare';
    }
    return undefined;
  }

  private constrains(form: string): boolean {
    return [...this.permitted.flat(), ...this.excluded].some((subtree) => subtree.form === form);
  }

  private covers(subtree: Subtree, name: ConstrainedName): boolean {
    if (subtree.form !== name.form || this.comparisons > MAX_COMPARISONS) return false;
    this.comparisons += 1;
    return subtree.covers(name);
  }
}

const MAX_COMPARISONS = 250_000;

interface ConstrainedName {
  /** Type of the GeneralName; of otherName with its OID. */
  form: string;
  /** Text as matched: mailbox, host, or address of a name. */
  text: string;
  /** Canonical RDNs of a directoryName. */
  rdns: string[];
  /** Octets of an iPAddress. */
  octets: Buffer;
}

interface Subtree {
  form: string;
  covers(name: ConstrainedName): boolean;
}

const NONE = Buffer.alloc(0);

function constrainedNames(certificate: Pick<Certificate, 'subject' | 'san'>): ConstrainedName[] {
  const names: ConstrainedName[] = [];
  if (certificate.subject.length > 0) {
    names.push({ form: 'directory', text: 'the subject', rdns: canonicalRdns(certificate.subject), octets: NONE });
  }
  for (const attribute of certificate.subject.flat()) {
    if (attribute.type === OID.emailAddress) names.push(textual('email', attribute.value));
  }
  for (const name of certificate.san) names.push(...fromGeneralName(name));
  return names;
}

function fromGeneralName(name: GeneralName): ConstrainedName[] {
  switch (name.type) {
    case 'email':
    case 'dns':
    case 'uri':
      return [textual(name.type, name.value)];
    case 'directory':
      return [{ form: 'directory', text: 'a directory name', rdns: canonicalRdns(readName(name.der)), octets: NONE }];
    case 'ip':
      return [{ form: 'ip', text: name.value, rdns: [], octets: encodeIp(name.value) }];
    case 'other': {
      const other = textual(`other:${name.oid}`, name.oid);
      return name.oid === OID.smtpUtf8Mailbox ? [other, textual('email', readText(name.value))] : [other];
    }
    case 'registeredId':
      return [textual('registeredId', name.value)];
    case 'x400':
    case 'edi':
      return [textual(name.type, `a name of type ${name.type}`)];
  }
}

function textual(form: string, text: string): ConstrainedName {
  return { form, text, rdns: [], octets: NONE };
}

function readText(value: Buffer): string {
  return DerReader.open(value, 'SmtpUTF8Mailbox').text();
}

function describe(name: ConstrainedName): string {
  return name.form === 'directory' ? name.text : `${name.form} ${JSON.stringify(name.text)}`;
}

/** GeneralSubtrees: base names with minimum 0 and no maximum, the only values of the profile. */
function readSubtrees(list: DerReader): Subtree[] {
  const subtrees: Subtree[] = [];
  while (!list.done) {
    const subtree = list.sequence();
    subtrees.push(readBase(subtree));
    if (!subtree.done) subtree.fail('sets a minimum or maximum, which RFC 5280 does not use');
  }
  if (subtrees.length === 0) list.fail('has an empty list of subtrees');
  return subtrees;
}

function readBase(reader: DerReader): Subtree {
  if (reader.peekTag() === contextTag(7)) return addressRange(reader);
  const base = readGeneralName(reader);
  switch (base.type) {
    case 'directory': {
      const prefix = canonicalRdns(readName(base.der));
      return { form: 'directory', covers: (name) => prefix.every((rdn, i) => name.rdns[i] === rdn) };
    }
    case 'email':
      return { form: 'email', covers: (name) => coversMailbox(base.value, name.text) };
    case 'dns':
      return { form: 'dns', covers: (name) => coversHost(base.value, name.text) };
    case 'uri':
      return { form: 'uri', covers: (name) => coversUri(base.value, uriHost(name.text) ?? '') };
    case 'other':
      return { form: `other:${base.oid}`, covers: () => false };
    default:
      return { form: base.type, covers: () => false };
  }
}

/**
 * False for forms that are not compared here, and for a URI whose authority holds no host name: RFC 5280 has a certificate
 * refused whose URI cannot be placed inside or outside a subtree.
 */
function canBeJudged(name: ConstrainedName): boolean {
  if (name.form === 'uri') return uriHost(name.text) !== undefined;
  return name.form === 'email' || name.form === 'dns' || name.form === 'directory' || name.form === 'ip';
}

/** The host name of a URI's authority; undefined without authority, or where it is an IP address. */
function uriHost(uri: string): string | undefined {
  const authority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/([^/?#]*)/.exec(uri)?.[1];
  const host = authority?.replace(/^.*@/, '').replace(/:\d*$/, '');
  return host === undefined || !/^[A-Za-z0-9_.-]*[A-Za-z_-][A-Za-z0-9_.-]*$/.test(host) ? undefined : host;
}

/** One host exactly, or (leading dot) everything below a domain. */
function coversUri(base: string, host: string): boolean {
  return base === '' || (base.startsWith('.') ? isBelow(base.slice(1), host) : same(base, host));
}

/** Whole mailbox, all mailboxes on a host, or (leading dot) on all hosts of a domain. */
function coversMailbox(base: string, mailbox: string): boolean {
  const at = mailbox.lastIndexOf('@');
  if (base === '') return true;
  const host = mailbox.slice(at + 1);
  const baseAt = base.lastIndexOf('@');
  // The local part has case, RFC 5321 section 2.4.
  if (baseAt >= 0)
    return same(base.slice(baseAt + 1), host) && base.slice(0, baseAt) === mailbox.slice(0, Math.max(at, 0));
  return base.startsWith('.') ? isBelow(base.slice(1), host) : same(base, host);
}

/** The host itself and everything below it; a leading dot, which the RFC does not know, leaves out the host itself. */
function coversHost(base: string, host: string): boolean {
  if (base === '') return true;
  return base.startsWith('.') ? isBelow(base.slice(1), host) : same(base, host) || isBelow(base, host);
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function isBelow(domain: string, host: string): boolean {
  return host.toLowerCase().endsWith(`.${domain.toLowerCase()}`);
}

/** iPAddress in constraints: address and mask in 8 or 32 octets. */
function addressRange(reader: DerReader): Subtree {
  const range = reader.content(contextTag(7));
  if (range.length !== 8 && range.length !== 32) reader.fail('has an address range that is not 8 or 32 octets');
  const half = range.length / 2;
  const covers = ({ octets }: ConstrainedName): boolean =>
    octets.length === half &&
    octets.every((octet, i) => {
      const mask = range[half + i] as number;
      return (octet & mask) === ((range[i] as number) & mask);
    });
  return { form: 'ip', covers };
}
