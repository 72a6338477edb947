import { CANARY_VENDOR, recordCanary, type AuthorityContext } from '#authority';
import { AuthorityError, counter, type Counter, type Registry } from '#kernel';
import { toPem } from '#pki';
import { findCanaryThings } from '#store';
import { CanaryClient, type CanaryUrls } from './client.js';
import { ChannelFailure } from './channels.js';
import { runCanary, type CanaryRun } from './run.js';

/** What ends a run, however far it came. */
const DEADLINE_MS = 60_000;

export interface CanaryDeps {
  everySeconds: number;
  urls: CanaryUrls;
  /** secrets/canary.token. */
  token: string;
}

/** Tries the instance from outside, as its clients use it, and tells how each channel did: an audit entry, which the figures show. */
export class Canary {
  private readonly runs: Counter<'outcome'>;
  private readonly leaving = new AbortController();

  constructor(
    private readonly authority: AuthorityContext,
    private readonly deps: CanaryDeps,
    registry: Registry,
  ) {
    this.runs = counter(registry, {
      name: 'touchmark_canary_runs_total',
      help: 'Runs of the inner canary in this process by outcome',
      labelNames: ['outcome'],
    });
    for (const outcome of ['passed', 'failed']) this.runs.inc({ outcome }, 0);
  }

  /** The instance is about to stop: a run under way ends, and what it misses from now on is nobody's fault. */
  leave(): void {
    this.leaving.abort();
  }

  async run(): Promise<'passed' | 'failed' | 'left'> {
    const { log } = this.authority;
    const { durations, failure } = await this.tryOut().catch((error: unknown): CanaryRun => ({
      durations: {},
      failure: { channel: 'prepare', error },
    }));
    if (this.leaving.signal.aborted) return 'left';
    const outcome = failure === undefined ? 'passed' : 'failed';
    this.runs.inc({ outcome });
    if (failure !== undefined) log.error({ err: failure.error, channel: failure.channel }, 'the inner canary failed');
    const told = failure && { channel: failure.channel, kind: kindOf(failure.error) };
    await recordCanary(this.authority, { durations, failure: told });
    return outcome;
  }

  private async tryOut(): Promise<CanaryRun> {
    const { authority, deps } = this;
    const roots = (await authority.issuers.list()).filter(({ kind }) => kind === 'root');
    const root = roots.map(({ certificate }) => toPem('CERTIFICATE', certificate)).join('');
    const things = await authority.database.transaction((tx) => findCanaryThings(tx, CANARY_VENDOR));
    if (things === undefined)
      throw new AuthorityError('unavailable', `there is no vendor "${CANARY_VENDOR}": run init`);
    const signal = AbortSignal.any([this.leaving.signal, AbortSignal.timeout(DEADLINE_MS)]);
    return runCanary({
      client: new CanaryClient(deps.urls, deps.token, root, signal),
      clock: authority.clock,
      things,
      issuerOf: (id) => authority.issuers.find(id),
    });
  }
}

const kindOf = (error: unknown): string => (error instanceof ChannelFailure ? error.kind : 'internal');
