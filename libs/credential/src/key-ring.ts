import { AuthorityError } from '#kernel';

/** One version of a key that seals, 32 bytes. */
export interface KeyVersion {
  version: number;
  key: Buffer;
  /** Handed out already, so that everybody can open what it seals, and not in use yet: nobody seals under it. */
  next?: boolean;
}

/**
 * The versions of a key that seals. What is new is sealed under the newest that is in use; what is stored opens under any.
 * One object for the life of a process: `replace` puts in what its file holds now, and whoever has the ring goes on with it.
 */
export class KeyRing {
  // Private to the language, not only to the compiler: a ring that gets into a log or an answer says nothing.
  readonly #versions = new Map<number, KeyVersion>();
  #newest: KeyVersion;

  /** Throws `invalid` where no version is in use or one occurs twice. */
  constructor(versions: readonly KeyVersion[]) {
    this.#newest = this.take(versions);
  }

  static of(key: Buffer): KeyRing {
    return new KeyRing([{ version: 1, key }]);
  }

  /** What new values are sealed under. */
  get current(): KeyVersion {
    return this.#newest;
  }

  /** All, those to come included; the same map for the life of the ring. */
  get byVersion(): ReadonlyMap<number, KeyVersion> {
    return this.#versions;
  }

  /** In the order in which opening is tried: the one in use first, then the newest ones. */
  get keys(): Buffer[] {
    const others = [...this.#versions.values()].filter((one) => one !== this.#newest);
    return [this.#newest, ...others.toSorted((one, other) => other.version - one.version)].map(({ key }) => key);
  }

  replace(versions: readonly KeyVersion[]): void {
    this.#newest = this.take(versions);
  }

  private take(versions: readonly KeyVersion[]): KeyVersion {
    const usable = versions.filter((one) => one.next !== true);
    const newest = usable.toSorted((one, other) => other.version - one.version)[0];
    if (newest === undefined) throw new AuthorityError('invalid', 'none of the versions of the key is in use');
    if (new Set(versions.map((one) => one.version)).size < versions.length) {
      throw new AuthorityError('invalid', 'a version of the key occurs twice');
    }
    this.#versions.clear();
    for (const one of versions) this.#versions.set(one.version, one);
    return newest;
  }
}

/** What seals and opens: one key of 32 bytes, or the versions of one. */
export type SealingKey = Buffer | KeyRing;
