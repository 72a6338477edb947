import type { Logger } from 'pino';
import { appendAudit } from '#audit';
import { AuthorityError, type Clock, type Config } from '#kernel';
import { claimQuotaReport, leaseQuota, type QuotaLease, type QuotaName, type Tx } from '#store';
import type { Actor, AuthorityContext } from './context.js';
import type { Transactor } from './transactor.js';

/** A lease is asked for anew after so long, what is left of it given back: a changed limit holds everywhere by then. */
const RENEW_MS = 5000;

export interface QuotaOptions {
  plane: AuthorityContext['plane'];
  /** With connections of its own: whoever waits for permits may hold one of the plane's. */
  database: Transactor;
  clock: Clock;
  /** Of organizations that have none of their own. */
  defaults: Config['quotas'];
  authorityId: string;
  log: Logger;
}

/** What this process may still let through in one window of one organization. */
interface Held {
  permits: number;
  window: string | null;
  /** Monotonic; at the latest when the database's minute ends. */
  endsAt: number;
  renewAt: number;
  /** The limit was reached when the lease was asked for. */
  exhausted: boolean;
  waiting: number;
  asking: Promise<void> | undefined;
}

/**
 * Limits per organization and minute that hold over all processes together: permits are leased from the database in small
 * blocks and counted down here. The minute is the database's. Never more than the limit; what idle processes hold is less
 * than a hundredth of it.
 */
export class Quotas {
  private readonly held = new Map<string, Held>();

  constructor(private readonly options: QuotaOptions) {}

  /**
   * Takes one permit of an organization. Throws `limited` (code `quotaExceeded`) with the seconds to the end of the minute,
   * `unavailable` when it needs a lease and the database is not there. What a plane does of itself is not counted.
   */
  async take(name: QuotaName, organizationId: string, actor: Pick<Actor, 'id' | 'requestId'>): Promise<void> {
    if (actor.id.startsWith('system:')) return;
    const held = this.heldOf(name, organizationId);
    for (;;) {
      const now = this.options.clock.monotonicMs();
      if (now < held.endsAt && now < held.renewAt) {
        if (held.permits > 0) {
          held.permits -= 1;
          return;
        }
        if (held.exhausted) throw exceeded(name, held.endsAt - now);
      }
      held.waiting += 1;
      try {
        await (held.asking ??= this.ask(held, name, organizationId, actor));
      } finally {
        held.waiting -= 1;
      }
    }
  }

  private heldOf(name: QuotaName, organizationId: string): Held {
    const key = `${name} ${organizationId}`;
    let held = this.held.get(key);
    if (held === undefined) {
      const none = { permits: 0, window: null, endsAt: -Infinity, renewAt: -Infinity, exhausted: false };
      held = { ...none, waiting: 0, asking: undefined };
      this.held.set(key, held);
    }
    return held;
  }

  private async ask(
    held: Held,
    name: QuotaName,
    organizationId: string,
    actor: Pick<Actor, 'id' | 'requestId'>,
  ): Promise<void> {
    try {
      // Everybody who comes in the same moment is asked for at once.
      await Promise.resolve();
      const askedAt = this.options.clock.monotonicMs();
      const { permits: unused, window } = held;
      held.permits = 0;
      const lease = await this.run(organizationId, (tx) =>
        leaseQuota(tx, {
          organizationId,
          name,
          defaultLimit: this.limitOf(name),
          wanted: held.waiting,
          ...{ unused, window },
        }),
      );
      const first = lease.granted === 0 && !(held.exhausted && held.window === lease.window);
      accept(held, lease, askedAt);
      if (first) await this.report(name, organizationId, actor);
    } finally {
      held.asking = undefined;
    }
  }

  private limitOf(name: QuotaName): number {
    const { requestsPerMinute, issuancePerMinute } = this.options.defaults;
    return name === 'requests' ? requestsPerMinute : issuancePerMinute;
  }

  /** One entry a minute and organization, whichever process writes it. Never throws: the refusal is the answer. */
  private async report(name: QuotaName, organizationId: string, actor: Pick<Actor, 'id' | 'requestId'>): Promise<void> {
    const { clock, database, authorityId, log } = this.options;
    await database
      .transaction(async (tx) => {
        if (!(await claimQuotaReport(tx, organizationId, name))) return;
        await appendAudit(tx, {
          at: clock.now(),
          actor: actor.id,
          action: 'quota.exceeded',
          subject: `organization:${organizationId}`,
          outcome: 'refused',
          requestId: actor.requestId,
          detail: { quota: name },
          ownerOrgId: organizationId,
          issuerOrgId: authorityId,
        });
      }, this.scopeOf(organizationId))
      .catch((error: unknown) => log.error({ err: error }, 'an exceeded quota could not be audited'));
  }

  private run<T>(organizationId: string, work: (tx: Tx) => Promise<T>): Promise<T> {
    const { plane, database } = this.options;
    return plane === 'api' ? database.transaction(work, this.scopeOf(organizationId)) : database.single(work);
  }

  private scopeOf(organizationId: string) {
    return this.options.plane === 'api' ? { scope: { organizationId, authority: false } } : {};
  }
}

function accept(held: Held, lease: QuotaLease, askedAt: number): void {
  held.permits = lease.granted;
  held.exhausted = lease.granted === 0;
  held.window = lease.window;
  // Counted from before the question, so that no permit is used after the database's minute.
  held.endsAt = askedAt + lease.secondsLeft * 1000;
  held.renewAt = askedAt + RENEW_MS;
}

function exceeded(name: QuotaName, ms: number): AuthorityError {
  return new AuthorityError('limited', `the organization's ${name} of this minute are used up`, {
    code: 'quotaExceeded',
    retryAfter: Math.max(1, Math.ceil(ms / 1000)),
  });
}
