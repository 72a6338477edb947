import {
  createMailer,
  deliverMail,
  deliverWebhooks,
  dispatchNotices,
  warnOfExpiry,
  WebhookGuard,
  WebhookSender,
  type AuthorityContext,
  type Mailer,
} from '#authority';
import { addSeconds } from '#kernel';
import { purgeNotices } from '#store';

const DAY_SECONDS = 86_400;

/**
 * The jobs about notices, each at most once at a time in this process: what a tick of the schedule finds running, it
 * leaves to that.
 */
export class NoticeJobs {
  private readonly running = new Map<string, Promise<number>>();
  private readonly stopping = new AbortController();
  private readonly sender: WebhookSender;
  private readonly mailer: Mailer | undefined;

  constructor(private readonly a: AuthorityContext) {
    const { webhooks, mail } = a.settings;
    this.sender = new WebhookSender({ guard: new WebhookGuard(webhooks.allowedNetworks), clock: a.clock });
    this.mailer = mail === undefined ? undefined : createMailer(mail);
  }

  dispatch(): Promise<number> {
    return this.alone('dispatch', () => dispatchNotices(this.a));
  }

  deliver(): Promise<number> {
    return this.alone('deliver', () => deliverWebhooks(this.a, this.sender, { signal: this.stopping.signal }));
  }

  /** Without a mail server nothing is sent; what waits is removed with the delivery log. */
  mail(): Promise<number> {
    const { mailer } = this;
    if (mailer === undefined) return Promise.resolve(0);
    return this.alone('mail', () => deliverMail(this.a, mailer, { signal: this.stopping.signal }));
  }

  expiry(): Promise<number> {
    return this.alone('expiry', () => warnOfExpiry(this.a));
  }

  purge(): Promise<number> {
    return this.alone('purge', async () => {
      const before = addSeconds(this.a.clock.now(), -this.a.settings.webhooks.deliveryLogDays * DAY_SECONDS);
      for (let purged = 0; ;) {
        const gone = await this.a.database.transaction((tx) => purgeNotices(tx, before));
        purged += gone;
        if (gone === 0) return purged;
      }
    });
  }

  /** Takes up nothing more; what is under way ends by itself. */
  stop(): void {
    this.stopping.abort();
    this.mailer?.close();
  }

  private alone(name: string, work: () => Promise<number>): Promise<number> {
    if (this.running.has(name)) return Promise.resolve(0);
    const run = work().finally(() => this.running.delete(name));
    this.running.set(name, run);
    return run;
  }
}
