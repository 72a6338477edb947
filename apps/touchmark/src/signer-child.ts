import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { AuthorityError } from '#kernel';
import type { DatabaseConnection } from '#store';

const PROGRAM = fileURLToPath(new URL('./signer-process.js', import.meta.url));
const START_MS = 30_000;
const STOP_MS = 8000;
const RESTART_MS = 500;

/** What the child says when it listens. */
export const LISTENING = 'listening';
/** What it is told at the end; it takes no signals, which would reach it together with its parent. */
export const STOP = 'stop';

/** What it is told before: where the embedded database is. Nothing: it finds an external one by its settings. */
export type DatabasePlace = Pick<DatabaseConnection, 'host' | 'port' | 'database'>;

/**
 * The signer in a process of its own, started by whoever serves: it has the settings of its parent, reads its own secrets,
 * and is started again when it ends, half a second later. It ends with its parent, however that ends.
 */
export class SignerChild {
  private child: ChildProcess | undefined;
  private stopping = false;
  private restart: NodeJS.Timeout | undefined;

  private constructor(
    private readonly place: DatabasePlace | undefined,
    private readonly log: Logger,
  ) {}

  /** Resolves when it listens. Throws `unavailable` where it ends before. */
  static async start(place: DatabasePlace | undefined, log: Logger): Promise<SignerChild> {
    const made = new SignerChild(place && { host: place.host, port: place.port, database: place.database }, log);
    await made.run();
    return made;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    clearTimeout(this.restart);
    const { child } = this;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.send(STOP);
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(late);
  }

  private async run(): Promise<void> {
    const child = fork(PROGRAM, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.child = child;
    child.send(this.place ?? {});
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new AuthorityError('unavailable', `the signer process ${why}: see its log`));
      const late = setTimeout(() => {
        child.kill('SIGKILL');
        fail('did not come up');
      }, START_MS);
      child.on('message', (said) => {
        if (said !== LISTENING) return;
        clearTimeout(late);
        this.log.info({ pid: child.pid }, 'the signer process is up');
        resolve();
      });
      child.once('exit', (code, signal) => {
        clearTimeout(late);
        this.child = undefined;
        fail('ended');
        if (this.stopping) return;
        this.log.error({ code, signal }, 'ALARM: the signer process ended; it is started again');
        this.restart = setTimeout(() => void this.run().catch(() => undefined), RESTART_MS);
      });
    });
  }
}
