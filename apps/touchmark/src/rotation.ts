import { AuthorityError, type Config } from '#kernel';
import type { Database } from '#store';
import { awaitReaders, notConfirmed, readConfirmations, type Wanted } from './await-readers.js';
import type { VersionedSecret } from './key-versions.js';
import { rewrapStored } from './rewrap-secret.js';
import { listVersions, retireVersions, stageVersion, useVersion } from './rotate-secret.js';

interface RotationOptions {
  /** Seconds for which running processes are waited for. */
  wait: number;
  force?: boolean;
  say: (text: string) => unknown;
}

/** The steps of a rotation, each of which may be run again. A step that others rest on is done once these have its evidence. */
export class Rotation {
  constructor(
    private readonly config: Config,
    private readonly secret: VersionedSecret,
    private readonly database: Database,
    private readonly options: RotationOptions,
  ) {}

  async whole() {
    await this.handOut();
    await this.confirmed('held');
    await this.putInUse();
    await this.confirmed('used');
    return this.seal();
  }

  async stage() {
    await this.handOut();
    return listVersions(this.config, this.secret);
  }

  /** Throws `conflict` (code `notConfirmed`) where a running process could not open what is sealed from then on. */
  async use() {
    await this.require('held');
    await this.putInUse();
    return listVersions(this.config, this.secret);
  }

  async rewrap() {
    await this.require('held');
    return this.seal();
  }

  /** Throws `conflict` while something is sealed under an old version, or somebody still seals under one. */
  async retire() {
    const { config, secret, database } = this;
    const { force = false } = this.options;
    await this.require('used');
    const left = await rewrapStored(config, secret, database, { step: 'retire' });
    if (left.broken > 0 && !force) {
      throw new AuthorityError(
        'conflict',
        `${secret}: ${left.broken} stored values open under no version; find out why before you remove one (or --force)`,
      );
    }
    const retired = await retireVersions(config, secret, force);
    return { ...listVersions(config, secret), retired };
  }

  private async handOut(): Promise<void> {
    this.options.say(`version ${await stageVersion(this.config, this.secret)} is handed out`);
  }

  private async putInUse(): Promise<void> {
    this.options.say(`version ${await useVersion(this.config, this.secret)} is in use`);
  }

  private async seal() {
    const { config, secret, database } = this;
    const progress = ({ resealed }: { resealed: number }) => this.options.say(`${resealed} values sealed under it`);
    const done = await rewrapStored(config, secret, database, { step: 'rewrap', progress });
    return { ...listVersions(config, secret), ...done };
  }

  private wanted(as: Wanted['as']): Wanted {
    const { inUse, next } = listVersions(this.config, this.secret);
    return { secret: this.secret, version: as === 'held' ? (next ?? inUse) : inUse, as };
  }

  private confirmed(as: Wanted['as']): Promise<void> {
    return awaitReaders(this.database, this.wanted(as), this.options.wait, this.options.say);
  }

  private async require(as: Wanted['as']): Promise<void> {
    if (this.options.force === true) return;
    const wanted = this.wanted(as);
    const { missing } = await readConfirmations(this.database, wanted);
    if (missing.length > 0) throw notConfirmed(wanted, missing);
  }
}
