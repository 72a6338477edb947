import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { parseNote, parseWitnesses, signatureLine, signaturesOf, verifyCosignature, witnessWarning } from '#audit';
import { replaceFile } from '../../apps/touchmark/src/home.js';
import { AuditTrail } from '../../apps/worker/src/audit-trail.js';
import { systemClock } from '#kernel';
import { AUDIT_KEK, startTestLog, type TestLog } from './test-log.js';
import { startWitness, type TestWitness } from './witness-server.js';

let log: TestLog;
let witness: TestWitness;
let home: string;
let outside: string;
let trail: AuditTrail | undefined;
let lines: { level: number; msg: string }[] = [];

beforeAll(async () => {
  log = await startTestLog();
});
afterAll(() => log.stop());
beforeEach(async () => {
  lines = [];
  witness = await startWitness(() => log.signing.key);
  home = await mkdtemp(path.join(tmpdir(), 'tm-audit-home-'));
  outside = await mkdtemp(path.join(tmpdir(), 'tm-audit-out-'));
  await log.db.tamper(
    `truncate audit, audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures; update audit_sealer set size = 0`,
  );
});
afterEach(async () => {
  await trail?.stop();
  trail = undefined;
  await witness.stop();
  await rm(home, { recursive: true, force: true });
  await rm(outside, { recursive: true, force: true });
});

/** The worker's part that seals and tells its witnesses. */
async function start(...witnesses: string[]): Promise<AuditTrail> {
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[0]) };
  const authority = { clock: systemClock, log: pino({ level: 'info' }, stream) };
  trail = new AuditTrail({
    config: { home, audit: { witnesses, sealMs: 100 } },
    database: log.worker,
    authority,
    auditKek: AUDIT_KEK,
    replaceFile,
  } as never);
  await trail.start();
  return trail;
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let polls = 0; !(await what()); polls++) {
    if (polls > 1000)
      throw new Error(`not within 10 s; seen ${JSON.stringify(witness.seen)}; said ${JSON.stringify(lines)}`);
    await delay(10);
  }
}

const cosigned = async (): Promise<number> => {
  const [row] = await log.db.sql<{ size: string | null }>(
    `select max(size) as size from audit_cosignatures where witness = 'witness.example/w1'`,
  );
  return Number(row!.size ?? 0);
};
const alarms = () => lines.filter(({ level, msg }) => level === 50 && msg.startsWith('ALARM'));

describe('a witness (C2SP tlog-witness)', () => {
  test('gets each newest checkpoint with the proof from the one before; its cosignature stands under the checkpoint', async () => {
    await start(witness.setting);
    await log.write(5);
    await until(async () => (await cosigned()) === 5);
    await log.write(300);
    await until(async () => (await cosigned()) === 305);
    expect(witness.seen[0]).toEqual({ old: 0, size: 5, status: 200 });
    expect(witness.seen.every(({ status }) => status === 200)).toBe(true);
    const { note } = await log.checkpoint(305);
    const parsed = parseNote(note);
    const [signature] = signaturesOf(parsed, witness.key);
    expect(verifyCosignature(parsed.text, signature!, witness.key)).toBe(1_800_000_000);
    // The log's own signature holds with the other's line beside it.
    await log.verify(await log.lines(305), note);
    expect(trail!.problems()).toEqual([]);
  });

  test('that knows more than we remember tells its size (409), and gets the proof from there', async () => {
    await start(witness.setting);
    await log.write(5);
    await until(async () => (await cosigned()) === 5);
    await trail!.stop();
    await log.db.tamper(`truncate audit_cosignatures`);
    await log.write(5);
    await start(witness.setting);
    await until(async () => (await cosigned()) === 10);
    expect(witness.seen.slice(1)).toEqual([
      { old: 0, size: 10, status: 409 },
      { old: 5, size: 10, status: 200 },
    ]);
  });

  test('that is down is tried again, and gets the newest then; sealing does not wait for it', async () => {
    witness.failWith = 503;
    await start(witness.setting);
    await log.write(5);
    await until(() => witness.seen.length >= 2);
    await log.write(5);
    await until(async () => (await log.checkpoint().catch(() => ({ size: 0 }))).size === 10);
    witness.failWith = undefined;
    await until(async () => (await cosigned()) === 10);
    expect(lines.filter(({ level }) => level === 40).some(({ msg }) => msg.includes('did not take'))).toBe(true);
    expect(trail!.problems()).toEqual([]);
  });

  test('that cosigned more leaves than there are raises an alarm: the database was set back', async () => {
    witness.state = { size: 1000, root: Buffer.alloc(32, 1) };
    await start(witness.setting);
    await log.write(5);
    await until(() => trail!.problems().length > 0);
    expect(trail!.problems()[0]).toMatch(/an audit witness contradicts this log: .*1000 leaves/);
    expect(alarms()).not.toHaveLength(0);
    expect(await cosigned()).toBe(0);
  });

  test('that knows another history of the same size or less raises an alarm', async () => {
    witness.state = { size: 3, root: Buffer.alloc(32, 1) };
    await start(witness.setting);
    await log.write(5);
    await until(() => trail!.problems().length > 0);
    expect(witness.seen.map(({ status }) => status).slice(0, 2)).toEqual([409, 422]);
    expect(alarms()).not.toHaveLength(0);
  });

  test.each([
    [
      'a signature of another key',
      () => signatureLine({ name: 'witness.example/w1', id: Buffer.alloc(4) }, Buffer.alloc(72)),
    ],
    ['a signature that does not hold', (line: string) => line.replace(/.{8}==?$/, 'AAAAAAA=')],
    ['no signature', () => 'thank you'],
  ])('whose answer holds %s has not cosigned', async (_, forge) => {
    witness.forge = forge;
    await start(witness.setting);
    await log.write(5);
    await until(() => witness.seen.length >= 2);
    expect(await cosigned()).toBe(0);
  });
});

describe('a file', () => {
  test('holds the newest checkpoint, and beside it each one before', async () => {
    const file = path.join(outside, 'checkpoint');
    await start(`file:${file}`);
    await log.write(5);
    await until(async () => (await readFile(file, 'utf8').catch(() => '')).includes('\n5\n'));
    await log.write(5);
    await until(async () => (await readFile(file, 'utf8')).includes('\n10\n'));
    expect((await readdir(`${file}.d`)).sort()).toEqual(['10', '5']);
    await log.verify(await log.lines(5), await readFile(path.join(`${file}.d`, '5'), 'utf8'));
    await log.verify(await log.lines(10), await readFile(file, 'utf8'));
  });

  test('that holds a checkpoint of another history is not overwritten, and raises an alarm', async () => {
    const file = path.join(outside, 'checkpoint');
    await log.write(20);
    const sealer = log.makeSealer();
    await sealer.seal();
    await writeFile(file, (await log.checkpoint(20)).note);
    await log.db.tamper(
      `truncate audit, audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures; update audit_sealer set size = 0`,
    );
    await start(`file:${file}`);
    await log.write(30);
    await until(() => trail!.problems().length > 0);
    expect(await readFile(file, 'utf8')).toContain('\n20\n');
    expect(alarms()).not.toHaveLength(0);
  });

  test('that cannot be written is tried again', async () => {
    await chmod(outside, 0o700);
    await writeFile(path.join(outside, 'taken'), '');
    await start(`file:${path.join(outside, 'taken', 'checkpoint')}`);
    await log.write(5);
    await until(() => lines.some(({ msg }) => msg.includes('did not take')));
    expect(trail!.problems()).toEqual([]);
  });
});

test('a webhook is sent the note; one that answers with a redirect or an error is tried again', async () => {
  const got: { body: string; type: string | undefined }[] = [];
  const statuses = [302, 500, 204];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      got.push({ body, type: request.headers['content-type'] });
      response.writeHead(statuses.shift() ?? 204, { location: witness.url }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await start(`webhook:http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=secret`);
  await log.write(5);
  await until(() => got.length === 3);
  expect(got[2]).toEqual({ body: (await log.checkpoint(5)).note, type: 'text/plain; charset=utf-8' });
  expect(witness.seen).toEqual([]);
  expect(JSON.stringify(lines)).not.toContain('token=secret');
  await trail!.stop();
  await new Promise((resolve) => server.close(resolve));
});

test('the newest checkpoint lies in the home before it is in the database, and a set back database is not signed', async () => {
  await start();
  await log.write(5);
  await until(async () => (await log.checkpoint().catch(() => ({ size: 0 }))).size === 5);
  expect(await readFile(path.join(home, 'audit', 'checkpoint'), 'utf8')).toBe((await log.checkpoint(5)).note);
  await trail!.stop();
  await log.db.tamper(
    `truncate audit, audit_leaves, audit_tile_roots, audit_checkpoints, audit_cosignatures; update audit_sealer set size = 0`,
  );
  await log.write(3);
  await start();
  await until(() => trail!.problems().length > 0);
  expect(trail!.problems()[0]).toMatch(/the audit log is not sealed: .*5 leaves were signed, 3 are there/);
  expect(alarms()).not.toHaveLength(0);
  await expect(log.checkpoint()).rejects.toMatchObject({ kind: 'notFound' });
});

test('another secrets/audit.kek opens no key: nothing is signed', async () => {
  trail = new AuditTrail({
    config: { home, audit: { witnesses: [], sealMs: 100 } },
    database: log.worker,
    authority: { clock: systemClock, log: pino({ level: 'silent' }) },
    auditKek: Buffer.alloc(32, 6),
    replaceFile,
  } as never);
  await trail.start();
  await log.write(3);
  expect(trail.problems()).toHaveLength(1);
  await expect(log.checkpoint()).rejects.toMatchObject({ kind: 'notFound' });
});

describe('the setting', () => {
  const vkey = () => witness.setting.split('#')[1]!;

  test('names files, webhooks and witnesses; files in the home and what runs on this machine are not independent', () => {
    const targets = parseWitnesses(
      [
        'file:/mnt/elsewhere/checkpoint',
        `file:${home}/copy`,
        'webhook:https://hooks.example/audit?t=1',
        `witness:https://witness.example/prefix/#${vkey()}`,
        'webhook:http://localhost:1/x',
      ],
      home,
    );
    expect(targets.map(({ name, independent }) => [name, independent])).toEqual([
      ['file:/mnt/elsewhere/checkpoint', true],
      [`file:${home}/copy`, false],
      ['webhook:hooks.example/audit', true],
      ['witness.example/w1', true],
      ['webhook:localhost:1/x', false],
    ]);
    expect(witnessWarning(targets)).toBeUndefined();
  });

  test('with fewer than two independent places is said at start, in one line', async () => {
    await start(`file:${home}/a`, `file:${home}/b`);
    const said = lines.filter(({ msg }) => msg.startsWith('Audit checkpoints go to 0 independent places, not 2'));
    expect(said).toHaveLength(1);
    expect(witnessWarning(parseWitnesses(['file:/mnt/x'], home))).toMatch(/go to 1 independent place, not 2/);
  });

  test.each([
    'ftp:x',
    'file:relative/path',
    'webhook:http://hooks.example/',
    'webhook:https://user:pw@hooks.example/',
    'webhook:nonsense',
    'witness:https://witness.example/',
    'witness:https://witness.example/#x+00000000+AAAA',
  ])('%s stops the start', (setting) => {
    expect(() => parseWitnesses([setting], home)).toThrow(expect.objectContaining({ kind: 'invalid' }));
  });

  test('a key for plain signatures is no witness key, and no target stands there twice', () => {
    const plain = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
    expect(() => parseWitnesses([`witness:https://witness.example/#${plain}`], home)).toThrow(/cosignatures/);
    expect(() => parseWitnesses(['file:/a', 'file:/a'], home)).toThrow(/twice/);
  });
});
