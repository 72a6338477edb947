import { gauge, type Registry } from '#kernel';
import type { Follower } from '#status';
import type { Database } from '#store';

interface Watched {
  plane: string;
  database: Database;
  follower: Follower;
}

/** What the planes of this process tell of their connections and of the status log as they follow it. */
export class ProcessMetrics {
  private readonly watched: Watched[] = [];

  constructor(registry: Registry) {
    const { watched } = this;
    gauge(registry, {
      name: 'touchmark_database_connections',
      help: 'Connections of a plane to the database: busy, idle, and requests that wait for one',
      labelNames: ['plane', 'state'],
      collect() {
        for (const { plane, database } of watched) {
          for (const [state, count] of Object.entries(database.use)) this.set({ plane, state }, count);
        }
      },
    });
    const follower = (name: string, help: string, value: (follower: Follower) => number) =>
      gauge(registry, {
        name: `touchmark_follower_${name}`,
        help,
        labelNames: ['plane'],
        collect() {
          for (const one of watched) this.set({ plane: one.plane }, value(one.follower));
        },
      });
    follower('age_seconds', 'Since when the status log was last seen to be wholly applied', (one) => one.ageMs / 1000);
    follower('seq', 'Row of the status log that was applied last', (one) => one.index.seq);
    follower('broken', '1 where the status log is not believed any more', (one) => (one.broken ? 1 : 0));
  }

  watch(plane: string, { database, follower }: Omit<Watched, 'plane'>): void {
    this.watched.push({ plane, database, follower });
  }
}

/** Until when the certificate of a TLS server counts. */
export function noteTlsEnd(registry: Registry, plane: string, notAfter: Date): void {
  gauge(registry, {
    name: 'touchmark_tls_not_after_timestamp_seconds',
    help: 'End of the certificate that the TLS server of a plane shows',
    labelNames: ['plane'],
  }).set({ plane }, notAfter.getTime() / 1000);
}
