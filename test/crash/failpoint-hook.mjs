// Loaded into the built program by --import: kills it at a named point of one enrollment. FAILPOINT_FILE names a file that
// holds the point; it is looked at when such a point is reached, so that a running process can be told.
import { readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import pg from 'pg';

const file = process.env.FAILPOINT_FILE ?? '';

function wanted() {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function dieAt(point) {
  if (wanted() !== point) return;
  rmSync(file);
  process.kill(process.pid, 'SIGKILL');
  // Nothing more happens in this process, however long the signal takes.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

const OF_DEVICE = '"actor":"device:';
/** The statement that records the intents of devices, and the one that stores what was signed for them; nobody else's. */
const isIntent = (text, values) => text.includes('insert into serials') && String(values?.[0]).includes(OF_DEVICE);
const isStore = (text, values) => text.includes(`set state = 'issued'`) && String(values?.[0]).includes(OF_DEVICE);

const inTransaction = new WeakSet();
const atCommit = new WeakMap();
const query = pg.Client.prototype.query;

async function record(client, args) {
  dieAt('before-intent');
  const result = await query.apply(client, args);
  if (inTransaction.has(client)) atCommit.set(client, { before: undefined, after: 'after-intent' });
  else dieAt('after-intent');
  return result;
}

async function store(client, args) {
  dieAt('after-sign');
  const alone = !inTransaction.has(client);
  // A statement of its own is its own transaction: this opens it up.
  if (alone && wanted() === 'before-commit') await query.call(client, 'begin');
  const result = await query.apply(client, args);
  if (alone) {
    dieAt('before-commit');
    dieAt('after-commit');
  } else {
    atCommit.set(client, { before: 'before-commit', after: 'after-commit' });
  }
  return result;
}

async function commit(client, args) {
  const points = atCommit.get(client);
  atCommit.delete(client);
  inTransaction.delete(client);
  if (points?.before) dieAt(points.before);
  const result = await query.apply(client, args);
  if (points) dieAt(points.after);
  return result;
}

pg.Client.prototype.query = function hooked(...args) {
  const { text, values } = typeof args[0] === 'string' ? { text: args[0] } : args[0];
  if (typeof text !== 'string') return query.apply(this, args);
  if (/^begin\b/i.test(text)) inTransaction.add(this);
  else if (/^commit\b/i.test(text)) return commit(this, args);
  else if (/^rollback\b/i.test(text)) {
    inTransaction.delete(this);
    atCommit.delete(this);
  } else if (isIntent(text, values)) return record(this, args);
  else if (isStore(text, values)) return store(this, args);
  return query.apply(this, args);
};

const writeHead = http.ServerResponse.prototype.writeHead;
http.ServerResponse.prototype.writeHead = function hooked(status, ...rest) {
  if (status === 200 && /\/simple(?:re)?enroll$/.test(this.req?.url ?? '')) dieAt('before-reply');
  return writeHead.call(this, status, ...rest);
};
