import type { TransactionOptions, Tx } from '#store';

/** Where transactions are opened; a Database is one. */
export interface Transactor {
  transaction<T>(work: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /** `work` of exactly one statement. */
  single<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}
