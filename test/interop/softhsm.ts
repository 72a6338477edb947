import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { existsSync } from 'node:fs';
import { succeed } from './program.js';

export const PIN = '12345678';
const SO_PIN = '87654321';

/** Where Debian and others put it. */
export const SOFTHSM = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find(
  (file) => existsSync(file),
);

/** Tokens in a directory of their own, which the library finds by `environment`. */
export class SoftHsm {
  private constructor(
    readonly directory: string,
    readonly environment: Readonly<Record<string, string>>,
  ) {}

  static async create(label: string): Promise<SoftHsm> {
    const directory = await mkdtemp(path.join(tmpdir(), 'touchmark-hsm-'));
    await mkdir(path.join(directory, 'tokens'));
    const conf = path.join(directory, 'softhsm2.conf');
    await writeFile(
      conf,
      `directories.tokendir = ${directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n`,
    );
    const environment = { SOFTHSM2_CONF: conf };
    const token = ['--init-token', '--free', '--label', label, '--pin', PIN, '--so-pin', SO_PIN];
    await succeed('softhsm2-util', token, { env: environment });
    await writeFile(path.join(directory, 'pin'), `${PIN}\n`, { mode: 0o600 });
    return new SoftHsm(directory, environment);
  }

  get module(): string {
    if (SOFTHSM === undefined) throw new Error('SoftHSM is not installed');
    return SOFTHSM;
  }

  get pinFile(): string {
    return path.join(this.directory, 'pin');
  }

  /** The token is pulled out: its files are not where they were. */
  async takeOut(): Promise<void> {
    await rename(path.join(this.directory, 'tokens'), path.join(this.directory, 'elsewhere'));
    await mkdir(path.join(this.directory, 'tokens'));
  }

  async putBack(): Promise<void> {
    await rm(path.join(this.directory, 'tokens'), { recursive: true });
    await rename(path.join(this.directory, 'elsewhere'), path.join(this.directory, 'tokens'));
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
