import { generateKeyPairSync } from 'node:crypto';
import pg from 'pg';
import {
  ED25519,
  formatCheckpoint,
  GrowingTree,
  inclusionProof,
  leafHash,
  noteKey,
  rawPublicKey,
  rootOfHashes,
  signNote,
  storedHashes,
  TILE_WIDTH,
  verifyInclusion,
  type NoteKey,
} from '#audit';
import type { SqlValue, Tx } from '#store';
import { readAll, type TestLog } from './test-log.js';

/** How often each kind was tried, and what was not noticed. */
export interface Tally {
  tried: Record<string, number>;
  missed: string[];
}

/** What a superuser sets each column to, of every row at once: the line of a row depends on that row alone. */
const EDITS: Readonly<Record<string, string>> = {
  at: `at = at + interval '1 microsecond'`,
  'at, earlier': `at = at - interval '1 day'`,
  actor: `actor = actor || 'x'`,
  action: `action = case action when 'key.issued' then 'key.revoked' else 'key.issued' end`,
  subject: `subject = replace(subject, 'key:', 'key:0')`,
  outcome: `outcome = case outcome when 'success' then 'refused' else 'success' end`,
  request_id: `request_id = ''`,
  canonical: `canonical = set_byte(canonical, length(canonical) - 3, get_byte(canonical, length(canonical) - 3) # 1)`,
  'canonical, detail': `canonical = convert_to(replace(convert_from(canonical, 'UTF8'), 'quoted', 'edited'), 'UTF8')`,
  owner_org_id: `owner_org_id = case when owner_org_id is null then issuer_org_id end`,
  issuer_org_id: `issuer_org_id = null`,
  'column and canonical alike': `actor = 'operator:9', canonical = convert_to(regexp_replace(convert_from(canonical, 'UTF8'), 'operator:\\d', 'operator:9'), 'UTF8')`,
  id: `id = id + 1000000`,
};

/** Every row, every column: `count` events are sealed, and `note` was witnessed over them. */
export async function editEveryRow(log: TestLog, note: string, count: number, tally: Tally): Promise<void> {
  const original = await log.lines(count);
  const { root, paths } = await provenPaths(log, count);
  await asSuperuser(log, async (trial) => {
    for (const [name, edit] of Object.entries(EDITS)) {
      await trial(async (tx) => {
        await tx.run(`update audit set ${edit}`);
        const lines = await readAll(tx, count);
        lines.forEach((line, i) => {
          // The export with this one row edited has this root, since no other line changed.
          note1(tally, name, !verifyInclusion(i, count, leafHash(line), paths[i]!, root), `row ${i}`);
        });
      });
      // And whole exports through the verifier itself, for rows all over.
      for (let i = 0; i < count; i += Math.ceil(count / 20)) {
        await trial(async (tx) => {
          await tx.run(
            `update audit set ${edit} where id = (select event_id from audit_leaves where leaf_index = $1)`,
            [i],
          );
          const lines = await readAll(tx, count);
          await expectNoticed(log, tally, `${name}, whole export`, lines, note);
          const changed = lines.filter((line, at) => !line.equals(original[at]!)).length;
          if (changed !== 1) tally.missed.push(`${name} ${i}: ${changed} lines changed`);
        });
      }
    }
  });
}

/** Rows and leaves that go, come, change places or come twice, the leaves numbered anew without a gap. */
export async function moveRows(log: TestLog, note: string, count: number, tally: Tally, step: number): Promise<void> {
  const lines = await log.lines(count);
  for (let i = 0; i < count; i += step) {
    const others = [...lines.slice(0, i), ...lines.slice(i + 1)];
    await expectNoticed(log, tally, 'delete', others, note);
    if (i < count - 1) await expectNoticed(log, tally, 'moved to the end', [...others, lines[i]!], note);
    await expectNoticed(
      log,
      tally,
      'insert',
      [...lines.slice(0, i), Buffer.from('{"action":"x"}'), ...lines.slice(i)],
      note,
    );
    await expectNoticed(log, tally, 'duplicate', [...lines.slice(0, i), lines[i]!, ...lines.slice(i)], note);
    const j = (i + 1 + (i % 7)) % count;
    await expectNoticed(
      log,
      tally,
      'duplicate over another',
      lines.map((line, k) => (k === j ? lines[i]! : line)),
      note,
    );
    await expectNoticed(
      log,
      tally,
      'swap',
      lines.map((line, k) => lines[k === i ? j : k === j ? i : k] ?? line),
      note,
    );
  }
  // The same in the database itself.
  for (const i of [0, 1, Math.floor(count / 2), count - 2]) {
    const leaf = `(select event_id from audit_leaves where leaf_index = ${i})`;
    const next = `(select event_id from audit_leaves where leaf_index = ${i + 1})`;
    const inDatabase: Record<string, string[]> = {
      'delete the event': [`delete from audit where id = ${leaf}`],
      'delete event and leaf': [
        `delete from audit where id = ${leaf}`,
        `delete from audit_leaves where leaf_index = ${i}`,
      ],
      'delete, numbered anew': [
        `delete from audit where id = ${leaf}`,
        `delete from audit_leaves where leaf_index = ${i}`,
        `update audit_leaves set leaf_index = leaf_index + 1000000 where leaf_index > ${i}`,
        `update audit_leaves set leaf_index = leaf_index - 1000001 where leaf_index > 1000000`,
      ],
      'swap the leaves': [
        `update audit_leaves set leaf_index = 1000000 where leaf_index = ${i}`,
        `update audit_leaves set leaf_index = ${i} where leaf_index = ${i + 1}`,
        `update audit_leaves set leaf_index = ${i + 1} where leaf_index = 1000000`,
      ],
      'swap the events': [
        `create temp table pair on commit drop as select ${leaf} as a, ${next} as b`,
        `update audit set id = 5000000 from pair where id = a`,
        `update audit set id = a from pair where id = b`,
        `update audit set id = b from pair where id = 5000000`,
      ],
      'insert, numbered anew': [
        `update audit_leaves set leaf_index = leaf_index + 1000001 where leaf_index >= ${i}`,
        `update audit_leaves set leaf_index = leaf_index - 1000000 where leaf_index > 1000000`,
        `with made as (insert into audit (id, at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id)
           select 5000000, at, actor, action, subject, outcome, request_id, canonical, owner_org_id, issuer_org_id from audit limit 1 returning id)
         insert into audit_leaves select ${i}, id, decode(repeat('ab', 32), 'hex') from made`,
      ],
    };
    await asSuperuser(log, async (trial) => {
      for (const [name, statements] of Object.entries(inDatabase)) {
        await trial(async (tx) => {
          for (const statement of statements) await tx.run(statement);
          await expectNoticed(log, tally, name, await readAll(tx, count), note);
        });
      }
    });
  }
}

/** The newest `k` entries are gone for every k up to `most`: as a shorter export, and filled up again with others. */
export async function truncate(log: TestLog, note: string, count: number, tally: Tally, most: number): Promise<void> {
  const lines = await log.lines(count);
  for (let k = 1; k <= most; k++) {
    await expectNoticed(log, tally, 'truncation', lines.slice(0, count - k), note);
    const others = Array.from({ length: k }, (_, i) => Buffer.from(`{"action":"other ${i}"}`));
    await expectNoticed(log, tally, 'rollback, other events since', [...lines.slice(0, count - k), ...others], note);
  }
}

/**
 * History rewritten from row `from` on with everything that hangs on it: leaves, tile roots, checkpoints signed with a key of
 * the thief's own, or with the stolen one. What the thief shows is consistent in itself; it is not what was witnessed.
 */
export async function rewriteSuffix(
  log: TestLog,
  note: string,
  count: number,
  from: number,
  tally: Tally,
): Promise<void> {
  const pair = generateKeyPairSync('ed25519');
  const forged: NoteKey = noteKey(log.signing.key.name, ED25519, rawPublicKey(pair.publicKey));
  const rewrite = async (tx: Tx): Promise<void> => {
    await tx.run(
      `update audit set actor = 'operator:9', canonical = convert_to(regexp_replace(convert_from(canonical, 'UTF8'), 'operator:\\d', 'operator:9'), 'UTF8')
       where id >= (select event_id from audit_leaves where leaf_index = $1)`,
      [from],
    );
    const lines = await readAll(tx, count);
    const hashes = lines.map(leafHash);
    await tx.run(
      `update audit_leaves l set hash = u.hash from unnest($1::bytea[]) with ordinality as u (hash, n) where l.leaf_index = u.n - 1`,
      [hashes],
    );
    for (let n = 0; (n + 1) * TILE_WIDTH <= count; n++) {
      const root = rootOfHashes(hashes.slice(n * TILE_WIDTH, (n + 1) * TILE_WIDTH));
      await tx.run(`update audit_tile_roots set hash = $2 where level = 1 and n = $1`, [n, root]);
    }
    const tree = new GrowingTree();
    for (const hash of hashes) tree.add(hash);
    const text = formatCheckpoint({ origin: forged.name, size: count, root: tree.root() });
    const withOwnKey = signNote(text, forged, pair.privateKey);
    const withStolenKey = signNote(text, log.signing.key, log.signing.privateKey);
    // The forgery itself is sound, or the rest would prove nothing.
    if (await refused(log.verify(lines, withStolenKey))) tally.missed.push('the forged log is not even consistent');
    await expectNoticed(log, tally, 'rewritten, witnessed checkpoint', lines, note);
    await expectNoticed(log, tally, 'rewritten, checkpoint of another key', lines, withOwnKey);
    const grafted = note.replace(/^[^\n]*\n\d+\n[^\n]*\n/, text);
    await expectNoticed(log, tally, 'rewritten, signature of the true checkpoint', lines, grafted);
  };
  await asSuperuser(log, (trial) => trial(rewrite));
}

async function expectNoticed(log: TestLog, tally: Tally, name: string, lines: readonly Buffer[], note: string) {
  note1(tally, name, await refused(log.verify(lines, note)), `of ${lines.length} lines`);
}

function note1(tally: Tally, name: string, noticed: boolean, where: string): void {
  tally.tried[name] = (tally.tried[name] ?? 0) + 1;
  if (!noticed) tally.missed.push(`${name}: ${where}`);
}

const refused = (verified: Promise<unknown>): Promise<boolean> =>
  verified.then(
    () => false,
    (error: unknown) => (error as { kind?: string }).kind === 'invalid',
  );

async function provenPaths(log: TestLog, count: number): Promise<{ root: Buffer; paths: Buffer[][] }> {
  return log.worker.transaction(async (tx) => {
    const reader = storedHashes(tx);
    const paths: Buffer[][] = [];
    for (let i = 0; i < count; i++) paths.push(await inclusionProof(reader, i, count));
    const tree = new GrowingTree();
    for (const line of await log.lines(count)) tree.add(leafHash(line));
    return { root: tree.root(), paths };
  });
}

/** One thing done as superuser, and undone again. */
type Trial = (work: (tx: Tx) => Promise<void>) => Promise<void>;

/** With every trigger off, and numbers free to choose; all of it is rolled back. */
async function asSuperuser(log: TestLog, work: (trial: Trial) => Promise<void>): Promise<void> {
  const client = new pg.Client({ ...log.db.superuser, options: '-c search_path=touchmark' });
  await client.connect();
  const tx: Tx = {
    rows: async <T extends object>(sql: string, values: readonly SqlValue[] = []) =>
      (await client.query<T>(sql, [...values])).rows,
    run: async (sql, values = []) => (await client.query(sql, [...values])).rowCount ?? 0,
    client: () => client as never,
  };
  try {
    await client.query('begin');
    await client.query('set local session_replication_role = replica');
    await client.query('alter table audit alter column id drop identity');
    await work(async (one) => {
      await client.query('savepoint trial');
      await one(tx);
      await client.query('rollback to trial');
    });
    await client.query('rollback');
  } finally {
    await client.end();
  }
}
