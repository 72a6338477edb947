import type { KeyStatus, StatusRow } from '#store';
import type { KeyEntry, StatusEntry, TokenEntry } from './index-entries.js';

export type ReadonlyStatusIndex = Pick<
  StatusIndex,
  'seq' | 'certificate' | 'device' | 'group' | 'key' | 'token' | 'certificateCount'
>;

/** The log as it stands, in memory: look-ups take no I/O. Written by the follower alone. */
export class StatusIndex {
  /** Number of the last row applied. */
  seq = 0;
  private readonly certificates = new Map<string, StatusEntry>();
  private readonly devices = new Map<string, StatusEntry>();
  private readonly groups = new Map<string, StatusEntry>();
  private readonly keys = new Map<string, KeyEntry>();
  private readonly tokens = new Map<string, TokenEntry>();

  /** By serial in lower-case hex. A released hold stays as status `active`, with the seq of the release. */
  certificate(serial: string): StatusEntry | undefined {
    return this.certificates.get(serial);
  }

  device(id: string): StatusEntry | undefined {
    return this.devices.get(id);
  }

  group(id: string): StatusEntry | undefined {
    return this.groups.get(id);
  }

  key(id: string): KeyEntry | undefined {
    return this.keys.get(id);
  }

  token(id: string): TokenEntry | undefined {
    return this.tokens.get(id);
  }

  get certificateCount(): number {
    return this.certificates.size;
  }

  /**
   * False for a row that would take something back from revoked, which is passed over: revoked is for ever.
   * Keys and tokens come with what the follower loaded and checked; a row about one that did not load is not believed.
   */
  apply(row: StatusRow, loaded: { key?: KeyEntry | undefined; token?: TokenEntry | undefined }): boolean {
    const final = this.entryOf(row)?.status === 'revoked' && row.status !== 'revoked';
    if (!final) this.take(row, loaded);
    this.seq = row.seq;
    return !final;
  }

  private entryOf(row: Pick<StatusRow, 'kind' | 'subject'>): { status: string } | undefined {
    return this[row.kind](row.subject);
  }

  private take(row: StatusRow, loaded: { key?: KeyEntry | undefined; token?: TokenEntry | undefined }): void {
    const entry: StatusEntry = {
      status: row.status,
      reason: row.reason,
      at: row.at,
      invalidityDate: row.invalidityDate,
      seq: row.seq,
    };
    switch (row.kind) {
      case 'certificate':
        this.certificates.set(row.subject, entry);
        break;
      case 'device':
        this.devices.set(row.subject, entry);
        break;
      case 'group':
        this.groups.set(row.subject, entry);
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
      case 'token': {
        const token = loaded.token ?? this.tokens.get(row.subject);
        if (token !== undefined) this.tokens.set(row.subject, { ...token, status: row.status, seq: row.seq });
        break;
      }
      default: {
        const unknown: never = row.kind;
        throw new Error(`unknown kind ${String(unknown)} in the status log`);
      }
    }
  }
}
