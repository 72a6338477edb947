import { parseWitnesses, witnessWarning } from '#audit';
import { checkpointFile } from './checkpoint-file.js';
import type { WorkerDeps } from './deps.js';
import { SealLoop } from './seal-loop.js';
import { WitnessLoop } from './witness-loop.js';

/** The audit log, sealed and witnessed. */
export class AuditTrail {
  private readonly sealing: SealLoop;
  private readonly witnesses: WitnessLoop;
  private readonly warning: string | undefined;

  /** Throws `invalid` for a witness that cannot be one. */
  constructor(
    private readonly deps: Pick<WorkerDeps, 'config' | 'database' | 'authority' | 'auditKek' | 'replaceFile'>,
  ) {
    const { config, database, authority, auditKek, replaceFile } = deps;
    const { clock, log } = authority;
    const targets = parseWitnesses(config.audit.witnesses, config.home);
    this.warning = witnessWarning(targets);
    this.witnesses = new WitnessLoop({ database, clock, log, targets, replaceFile });
    const memory = checkpointFile(config.home, replaceFile);
    const { sealMs } = config.audit;
    this.sealing = new SealLoop({ database, clock, log, auditKek, memory, sealMs }, () => this.witnesses.wake());
  }

  async start(): Promise<void> {
    if (this.warning !== undefined) this.deps.authority.log.warn(this.warning);
    await this.sealing.start();
    this.witnesses.wake();
  }

  /** Lets the batch that is sealed end, and cuts off what is sent. */
  async stop(): Promise<void> {
    await this.sealing.stop();
    await this.witnesses.stop();
  }

  /** Why the log is not sealed, or not to be believed; empty when all is well. */
  problems(): string[] {
    return [...this.sealing.problems(), ...this.witnesses.problems()];
  }
}
