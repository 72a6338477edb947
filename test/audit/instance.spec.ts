import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openCheckpoint, parseVerifierKey } from '#audit';
import { runSource } from '../../apps/touchmark/test/run-source.js';
import { startTestInstance, type TestInstance } from '../harness/instance.js';

let instance: TestInstance;
let files: string;
let verifierKey: string;

beforeAll(async () => {
  files = await mkdtemp(path.join(tmpdir(), 'tm-audit-'));
  instance = await startTestInstance({ TOUCHMARK_AUDIT_WITNESSES: `file:${files}/witnessed` });
  await writeFile(path.join(files, 'token'), instance.operatorToken);
  await writeFile(path.join(files, 'root.pem'), instance.rootPem);
});
afterAll(async () => {
  await instance.stop();
  await rm(files, { recursive: true, force: true });
});

const at = (name: string): string => path.join(files, name);
const touchmark = (...args: string[]) => runSource('src/main.ts', ['audit', ...args]).ended();
const online = () => ['--url', instance.urls.api, '--token-file', at('token'), '--ca', at('root.pem')];

test('the first start makes the key; discovery tells it, and the first checkpoint bears it', async () => {
  const { status, body } = await instance.status('/.well-known/touchmark');
  expect(status).toBe(200);
  const { audit } = JSON.parse(body.toString()) as { audit: { origin: string; verifierKey: string } };
  verifierKey = audit.verifierKey;
  const key = parseVerifierKey(verifierKey);
  expect(audit.origin).toMatch(/^touchmark\/[0-9a-f-]{36}\/audit$/);
  expect(key.name).toBe(audit.origin);
  const note = await readFile(path.join(instance.home, 'audit', 'checkpoint'), 'utf8');
  expect(openCheckpoint(note, key).size).toBeGreaterThan(0);
});

test('what is done is sealed within a second, and reaches the witness', async () => {
  const made = await instance.api('POST', '/v1/organizations', { name: 'Sealed', kind: 'vendor' });
  expect(made.status).toBe(201);
  const began = performance.now();
  const key = parseVerifierKey(verifierKey);
  const list = await instance.api('GET', '/v1/audit/events?action=organization.created&limit=1');
  const [{ id }] = (JSON.parse(list.body.toString()) as { items: [{ id: string }] }).items;
  let proof = await instance.api('GET', `/v1/audit/proof?event=${id}`);
  while (proof.status === 409) {
    await delay(20);
    proof = await instance.api('GET', `/v1/audit/proof?event=${id}`);
  }
  // A second, and room for a machine that does other things as well.
  expect(performance.now() - began).toBeLessThan(3000);
  expect(proof.status).toBe(200);
  const { treeSize } = JSON.parse(proof.body.toString()) as { treeSize: number };
  for (let size = 0; size < treeSize; await delay(20)) {
    size = openCheckpoint(await readFile(at('witnessed'), 'utf8'), key).size;
  }
});

test('the command line exports up to a witnessed checkpoint, and verifies it without the instance', async () => {
  const exported = await touchmark('export', '--out', at('log.jsonl'), '--upto', at('witnessed'), ...online());
  expect(exported).toMatchObject({ status: 0, stderr: '' });
  const verified = await touchmark('verify', at('log.jsonl'), '--key', verifierKey, '--checkpoint', at('witnessed'));
  expect(verified).toMatchObject({ status: 0, stderr: '' });
  expect(verified.stdout).toMatch(
    /^Verified: \d+ entries of touchmark\/[0-9a-f-]{36}\/audit, as they were signed\.\n$/,
  );
});

test('and says in one line what is wrong, with status 1', async () => {
  const good = await readFile(at('log.jsonl'), 'utf8');
  const cases: [string, string, string, RegExp][] = [
    [good.replace('"success"', '"refused"'), verifierKey, 'witnessed', /are not the leaves that were signed/],
    [good, 'nonsense', 'witnessed', /this is no verifier key/],
    [good, verifierKey, 'absent', /--checkpoint: .* cannot be read/],
  ];
  for (const [content, key, checkpoint, line] of cases) {
    await writeFile(at('tampered.jsonl'), content);
    const answer = await touchmark('verify', at('tampered.jsonl'), '--key', key, '--checkpoint', at(checkpoint));
    expect({ status: answer.status, stdout: answer.stdout }).toEqual({ status: 1, stdout: '' });
    expect(answer.stderr).toMatch(line);
    expect(answer.stderr.trimEnd().split('\n')).toHaveLength(1);
  }
});

test('prints checkpoint, proof and events', async () => {
  const [checkpoint, list] = await Promise.all([
    touchmark('checkpoint', ...online()),
    touchmark('list', '--action', 'organization.created', '--json', ...online()),
  ]);
  expect(openCheckpoint(checkpoint.stdout, parseVerifierKey(verifierKey)).size).toBeGreaterThan(0);
  const { items } = JSON.parse(list.stdout) as { items: { id: string; action: string }[] };
  expect(items.every(({ action }) => action === 'organization.created')).toBe(true);
  const proof = await touchmark('proof', items[0]!.id, '--json', ...online());
  expect((JSON.parse(proof.stdout) as { hashes: string[] }).hashes.length).toBeGreaterThan(0);
});

test('an export that cannot be whole leaves no file behind', async () => {
  const note = await readFile(at('witnessed'), 'utf8');
  const size = openCheckpoint(note, parseVerifierKey(verifierKey)).size;
  await writeFile(at('future'), note.replace(`\n${size}\n`, `\n${size + 1_000_000}\n`));
  const answer = await touchmark('export', '--out', at('never.jsonl'), '--upto', at('future'), ...online());
  expect(answer.status).toBe(1);
  await expect(readFile(at('never.jsonl'))).rejects.toThrow();
  await expect(readFile(at('never.jsonl.part'))).rejects.toThrow();
});

test('a restart goes on in the same tree', async () => {
  const before = await readFile(path.join(instance.home, 'audit', 'checkpoint'), 'utf8');
  await instance.restart();
  const made = await instance.api('POST', '/v1/organizations', { name: 'Again', kind: 'vendor' });
  expect(made.status).toBe(201);
  const key = parseVerifierKey(verifierKey);
  const from = openCheckpoint(before, key).size;
  for (let size = from; size <= from; await delay(20)) {
    size = openCheckpoint(await readFile(path.join(instance.home, 'audit', 'checkpoint'), 'utf8'), key).size;
  }
});
