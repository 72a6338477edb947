import { isRole } from '#policy';
import type { KeyStatus, PolicyDocumentKind, StatusRow } from '#store';
import type { DocumentEntry, KeyEntry, PersonEntry, StatusEntry, TokenEntry } from './index-entries.js';

export type ReadonlyStatusIndex = Pick<
  StatusIndex,
  | 'seq'
  | 'certificate'
  | 'device'
  | 'group'
  | 'key'
  | 'token'
  | 'person'
  | 'people'
  | 'passkey'
  | 'issuer'
  | 'issuersSeq'
  | 'document'
  | 'documents'
  | 'domain'
  | 'user'
  | 'identity'
  | 'transport'
  | 'ra'
  | 'crl'
  | 'certificateCount'
>;

/** What the follower loaded, and checked, for the subjects of a batch of rows. */
export interface Loaded {
  key?: KeyEntry | undefined;
  token?: TokenEntry | undefined;
  person?: PersonEntry | undefined;
  /** Parsed JSON. */
  document?: unknown;
}

/** The one reason for which a revoked device may be registered again: an approval by a second person, which serves once. */
const REENROLLMENT = /^reenrollment:[0-9a-f-]{36}$/;

/** The log as it stands, in memory: look-ups take no I/O. Written by the follower alone. */
export class StatusIndex {
  /** Number of the last row applied. */
  seq = 0;
  /** Of the last row that was about an issuer. */
  issuersSeq = 0;
  private readonly plain = {
    certificate: new Map<string, StatusEntry>(),
    device: new Map<string, StatusEntry>(),
    group: new Map<string, StatusEntry>(),
    passkey: new Map<string, StatusEntry>(),
    issuer: new Map<string, StatusEntry>(),
    domain: new Map<string, StatusEntry>(),
    user: new Map<string, StatusEntry>(),
    identity: new Map<string, StatusEntry>(),
    transport: new Map<string, StatusEntry>(),
    ra: new Map<string, StatusEntry>(),
    crl: new Map<string, StatusEntry>(),
  };
  private readonly keys = new Map<string, KeyEntry>();
  private readonly tokens = new Map<string, TokenEntry>();
  private readonly persons = new Map<string, PersonEntry>();
  private readonly reenrollments = new Set<string>();
  private readonly decided: Readonly<Record<PolicyDocumentKind, Map<string, DocumentEntry>>> = {
    profile: new Map(),
    label: new Map(),
    anchors: new Map(),
  };

  /** By serial in lower-case hex. A released hold stays as status `active`, with the seq of the release. */
  certificate(serial: string): StatusEntry | undefined {
    return this.plain.certificate.get(serial);
  }

  device(id: string): StatusEntry | undefined {
    return this.plain.device.get(id);
  }

  group(id: string): StatusEntry | undefined {
    return this.plain.group.get(id);
  }

  key(id: string): KeyEntry | undefined {
    return this.keys.get(id);
  }

  token(id: string): TokenEntry | undefined {
    return this.tokens.get(id);
  }

  person(id: string): PersonEntry | undefined {
    return this.persons.get(id);
  }

  people(): IterableIterator<PersonEntry> {
    return this.persons.values();
  }

  passkey(id: string): StatusEntry | undefined {
    return this.plain.passkey.get(id);
  }

  issuer(id: string): StatusEntry | undefined {
    return this.plain.issuer.get(id);
  }

  /** Of names that certificates carry: `domain` by its id, `user` by its id. */
  domain(id: string): StatusEntry | undefined {
    return this.plain.domain.get(id);
  }

  user(id: string): StatusEntry | undefined {
    return this.plain.user.get(id);
  }

  /** `revoked`: what the device was known by counts no more. By the id of its row. */
  identity(id: string): StatusEntry | undefined {
    return this.plain.identity.get(id);
  }

  /** `revoked`: a symmetric key that was removed or replaced. By the MAC of its row, lower-case hex. */
  transport(mac: string): StatusEntry | undefined {
    return this.plain.transport.get(mac);
  }

  /** What a registration authority obtained is revoked, by `<device id>:<approval>`: from `invalidityDate` until `at`. */
  ra(subject: string): StatusEntry | undefined {
    return this.plain.ra.get(subject);
  }

  /** Of third parties, by `<anchors>:<SHA-256 of the signing key>`; `reason` is the SHA-256 of the list that counts. */
  crl(subject: string): StatusEntry | undefined {
    return this.plain.crl.get(subject);
  }

  /** undefined: nobody decided anything about it; what is shipped under the name is as shipped. */
  document(kind: PolicyDocumentKind, name: string): DocumentEntry | undefined {
    return this.decided[kind].get(name);
  }

  /** Everything that was ever decided of a kind, withdrawn ones too. */
  documents(kind: PolicyDocumentKind): ReadonlyMap<string, DocumentEntry> {
    return this.decided[kind];
  }

  get certificateCount(): number {
    return this.plain.certificate.size;
  }

  /**
   * False for a row that would take something back from revoked, which is passed over: revoked is for ever, but for a device
   * whose re-enrollment was approved. Its certificates stay revoked.
   * Keys, tokens and people come with what the follower loaded and checked; a row about one that did not load is not believed.
   */
  apply(row: StatusRow, loaded: Loaded): boolean {
    const final = this.entryOf(row)?.status === 'revoked' && row.status !== 'revoked' && !this.readmits(row);
    if (!final) this.take(row, loaded);
    this.seq = row.seq;
    return !final;
  }

  private entryOf(row: Pick<StatusRow, 'kind' | 'subject'>): { status: string } | undefined {
    switch (row.kind) {
      case 'role':
        return undefined;
      case 'profile':
      case 'label':
      case 'anchors':
        return this.document(row.kind, row.subject);
      default:
        return this[row.kind](row.subject);
    }
  }

  private readmits({ kind, status, reason }: StatusRow): boolean {
    if (kind !== 'device' || status !== 'registered' || reason === null || !REENROLLMENT.test(reason)) return false;
    if (this.reenrollments.has(reason)) return false;
    this.reenrollments.add(reason);
    return true;
  }

  private take(row: StatusRow, loaded: Loaded): void {
    switch (row.kind) {
      case 'certificate':
      case 'device':
      case 'group':
      case 'passkey':
      case 'issuer':
      case 'domain':
      case 'user':
      case 'identity':
      case 'transport':
      case 'ra':
      case 'crl':
        this.plain[row.kind].set(row.subject, {
          status: row.status,
          reason: row.reason,
          at: row.at,
          invalidityDate: row.invalidityDate,
          seq: row.seq,
        });
        if (row.kind === 'issuer') this.issuersSeq = row.seq;
        break;
      case 'profile':
      case 'label':
      case 'anchors':
        this.takeDocument(row.kind, row, loaded.document);
        break;
      case 'key': {
        const key = loaded.key ?? this.keys.get(row.subject);
        if (key !== undefined) {
          this.keys.set(row.subject, {
            ...key,
            status: row.status as KeyStatus,
            reason: row.reason,
            endsAt: row.endsAt,
            seq: row.seq,
          });
        }
        break;
      }
      case 'token':
        this.takeToken(row, loaded.token);
        break;
      case 'person': {
        const person = loaded.person ?? this.persons.get(row.subject);
        const status = row.status === 'active' ? 'active' : 'revoked';
        if (person !== undefined) this.persons.set(row.subject, { ...person, status, seq: row.seq });
        break;
      }
      case 'role':
        this.takeRole(row);
        break;
      default: {
        const unknown: never = row.kind;
        throw new Error(`unknown kind ${String(unknown)} in the status log`);
      }
    }
  }

  private takeToken({ subject, status, endsAt, seq }: StatusRow, loaded: Loaded['token']): void {
    const token = loaded ?? this.tokens.get(subject);
    if (token !== undefined) this.tokens.set(subject, { ...token, status, endsAt, seq });
  }

  private takeDocument(kind: PolicyDocumentKind, { subject, status, seq }: StatusRow, document: unknown): void {
    const before = this.decided[kind].get(subject)?.version ?? 0;
    const version = status.startsWith('v') ? Number(status.slice(1)) : before;
    this.decided[kind].set(subject, { version, status, document, seq });
  }

  /** `<person id>:<role>`, granted or withdrawn; of a person who is not known here it changes nothing. */
  private takeRole(row: StatusRow): void {
    const [personId = '', role = ''] = row.subject.split(':');
    const person = this.persons.get(personId);
    if (person === undefined || !isRole(role)) return;
    const roles = new Set(person.roles);
    if (row.status === 'granted') roles.add(role);
    else roles.delete(role);
    this.persons.set(personId, { ...person, roles, seq: row.seq });
  }
}
