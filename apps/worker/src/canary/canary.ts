import { CANARY_VENDOR, recordCanary, type AuthorityContext } from '#authority';
import { AuthorityError, counter, gauge, type Counter, type Gauge, type Registry } from '#kernel';
import { toPem } from '#pki';
import { findCanaryThings } from '#store';
import { CanaryClient, type CanaryUrls } from './client.js';
import { ChannelFailure, CHANNELS } from './channels.js';
import { runCanary, type CanaryRun } from './run.js';

/** What ends a run, however far it came. */
const DEADLINE_MS = 60_000;

export interface CanaryDeps {
  everySeconds: number;
  urls: CanaryUrls;
  /** secrets/canary.token. */
  token: string;
}

/** Tries the instance from outside, as its clients use it, and tells how each channel did: metrics and an audit entry. */
export class Canary {
  private readonly seconds: Gauge<'channel'>;
  private readonly failing: Gauge<'channel'>;
  private readonly runs: Counter<'outcome'>;
  private readonly passedAt: Gauge;

  constructor(
    private readonly authority: AuthorityContext,
    private readonly deps: CanaryDeps,
    registry: Registry,
  ) {
    this.seconds = gauge(registry, {
      name: 'touchmark_canary_channel_seconds',
      help: 'How long the channel took in the last run that came so far; of a revocation, until it was seen there',
      labelNames: ['channel'],
    });
    this.failing = gauge(registry, {
      name: 'touchmark_canary_channel_failing',
      help: '1 where the last run failed at this channel',
      labelNames: ['channel'],
    });
    this.runs = counter(registry, {
      name: 'touchmark_canary_runs_total',
      help: 'Runs of the inner canary by outcome',
      labelNames: ['outcome'],
    });
    this.passedAt = gauge(registry, {
      name: 'touchmark_canary_last_pass_timestamp_seconds',
      help: 'When the inner canary passed last; before that, when this process started',
    });
    this.passedAt.set(authority.clock.now().getTime() / 1000);
    for (const outcome of ['passed', 'failed']) this.runs.inc({ outcome }, 0);
    for (const channel of CHANNELS) this.failing.set({ channel }, 0);
  }

  async run(): Promise<'passed' | 'failed'> {
    const { log } = this.authority;
    const { durations, failure } = await this.tryOut().catch((error: unknown): CanaryRun => ({
      durations: {},
      failure: { channel: 'prepare', error },
    }));
    this.show({ durations, failure });
    if (failure !== undefined) log.error({ err: failure.error, channel: failure.channel }, 'the inner canary failed');
    const told = failure && { channel: failure.channel, kind: kindOf(failure.error) };
    await recordCanary(this.authority, { durations, failure: told });
    return failure === undefined ? 'passed' : 'failed';
  }

  private async tryOut(): Promise<CanaryRun> {
    const { authority, deps } = this;
    const root = toPem('CERTIFICATE', (await authority.issuers.root()).certificate);
    const things = await authority.database.transaction((tx) => findCanaryThings(tx, CANARY_VENDOR));
    if (things === undefined)
      throw new AuthorityError('unavailable', `there is no vendor "${CANARY_VENDOR}": run init`);
    return runCanary({
      client: new CanaryClient(deps.urls, deps.token, root, AbortSignal.timeout(DEADLINE_MS)),
      clock: authority.clock,
      things,
      issuerOf: (id) => authority.issuers.find(id),
    });
  }

  private show({ durations, failure }: CanaryRun): void {
    for (const channel of CHANNELS) {
      const ms = durations[channel];
      if (ms !== undefined) this.seconds.set({ channel }, ms / 1000);
      this.failing.set({ channel }, failure?.channel === channel ? 1 : 0);
    }
    this.runs.inc({ outcome: failure === undefined ? 'passed' : 'failed' });
    if (failure === undefined) this.passedAt.set(this.authority.clock.now().getTime() / 1000);
  }
}

const kindOf = (error: unknown): string => (error instanceof ChannelFailure ? error.kind : 'internal');
