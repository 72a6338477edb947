import { noteTokensUsed } from '#store';
import { scopeOf, systemActor, type AuthorityContext } from '../context.js';

/** When each token was last used: in memory, written from time to time, never in the way of a request. */
export class TokenUse {
  private used = new Map<string, Date>();

  constructor(private readonly a: Pick<AuthorityContext, 'plane' | 'authorityId' | 'database' | 'clock' | 'log'>) {}

  note(tokenId: string): void {
    this.used.set(tokenId, this.a.clock.now());
  }

  /** Never throws: what could not be written is tried again the next time. */
  async flush(): Promise<void> {
    if (this.used.size === 0) return;
    const batch = this.used;
    this.used = new Map();
    await this.a.database
      .transaction((tx) => noteTokensUsed(tx, batch), scopeOf(this.a, systemActor(this.a, 'token-use')))
      .catch((err: unknown) => {
        this.used = new Map([...batch, ...this.used]);
        this.a.log.warn({ err }, 'when tokens were last used could not be written');
      });
  }
}
