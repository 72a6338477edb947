import { createSecretKey } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { followGroup, type AuthorityContext } from '#authority';
import { systemClock } from '#kernel';
import { Follower } from '#status';
import { Database, type DatabaseConnection } from '#store';

/** What the parent says on standard input. */
interface Orders {
  connection: DatabaseConnection;
  macKey: string;
  authorityId: string;
  groupId: string;
}

/** A process of its own that does the worker's job for one group, and tells each block: something to be killed. */
const orders = JSON.parse(await text(process.stdin)) as Orders;
const macKey = createSecretKey(Buffer.from(orders.macKey, 'hex'));
const database = await Database.open(orders.connection, 4, () => undefined);
const follower = new Follower({
  database,
  macKey,
  clock: systemClock,
  pollMs: 50,
  peppers: undefined,
  onError: (error) => process.stderr.write(`${error.message}\n`),
});
await follower.start();
const tell = (fields: unknown): void => void process.stdout.write(`${JSON.stringify(fields)}\n`);
const context = {
  plane: 'worker',
  database,
  clock: systemClock,
  follower,
  macKey,
  authorityId: orders.authorityId,
  log: { info: tell },
} as unknown as AuthorityContext;
tell({ done: await followGroup(context, orders.groupId) });
await follower.stop();
await database.close();
