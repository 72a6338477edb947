import { AuthorityError, type Clock } from '#kernel';
import { findSerial, type Database, type KnownSerial } from '#store';
import { BoundedCache } from './bounded-cache.js';

const KEPT = 100_000;
const MAX_SERIAL_DIGITS = 40;
/** After a failed look-up the database is left alone for so long: requests would only queue up behind its time-outs. */
const PAUSE_MS = 1000;

/** Which serials exist. Final states are kept; an absent serial may be issued at any moment and is asked for each time. */
export class SerialLookup {
  private readonly known = new BoundedCache<KnownSerial>(KEPT);
  private pausedUntil = -Infinity;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** What is known without asking. */
  held(serial: string): KnownSerial | undefined {
    return this.known.get(serial);
  }

  /** undefined: the serial was never taken. Throws `unavailable` when that cannot be found out just now. */
  async find(serial: string): Promise<KnownSerial | undefined> {
    if (serial.length > MAX_SERIAL_DIGITS) return undefined;
    const row = await this.ask((database) => database.transaction((tx) => findSerial(tx, Buffer.from(serial, 'hex'))));
    if (row !== undefined && row.state !== 'issuing') this.known.set(serial, row);
    return row;
  }

  /** Any other question to the same database, under the same pause. */
  async ask<T>(question: (database: Database) => Promise<T>): Promise<T> {
    if (this.clock.monotonicMs() < this.pausedUntil) {
      throw new AuthorityError('unavailable', 'the database did not answer a moment ago', { retryAfter: 1 });
    }
    try {
      return await question(this.database);
    } catch (error) {
      this.pausedUntil = this.clock.monotonicMs() + PAUSE_MS;
      throw error;
    }
  }
}
