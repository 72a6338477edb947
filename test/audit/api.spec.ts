import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createOrganization, writeToken, type AuthorityContext } from '#authority';
import {
  appendAudit,
  ensureAuditKey,
  leafHash,
  openAuditKey,
  openCheckpoint,
  Sealer,
  verifyConsistency,
  verifyInclusion,
} from '#audit';
import { systemClock } from '#kernel';
import type { OrganizationKind, Role } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { planeOf, type ApiPlane } from '../api/plane.js';
import { event, fileOf, keptInMemory } from './test-log.js';
import { verifyExport } from '#audit';

const KEK = Buffer.alloc(32, 3);

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let sealer: Sealer;
let key: Awaited<ReturnType<typeof openAuditKey>>['key'];
let auditor: string;
let officer: string;
let vendorAuditor: string;
let vendorId: string;
/** Of the log when it was sealed in `beforeAll`. */
let size: number;

async function tokenOf(organizationId: string, roles: readonly Role[]): Promise<string> {
  const owner = await db.as('owner');
  const { text, seq } = await owner.transaction((tx) =>
    writeToken(tx, api, db.operator, {
      organizationId,
      name: roles.join(' '),
      kind: 'machine',
      personId: null,
      createdBy: organizationId,
      roles: [...roles],
      predecessorId: null,
      expiresAt: null,
    }),
  );
  await api.follower.catchUp(seq);
  return text;
}

async function sealAll(): Promise<void> {
  while ((await sealer.seal()) > 0);
}

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
  const owner = await db.as('owner');
  await owner.transaction((tx) => ensureAuditKey(tx, db.authorityId, KEK));
  const worker = await db.as('worker');
  const signing = await worker.transaction((tx) => openAuditKey(tx, KEK));
  key = signing.key;
  sealer = new Sealer({ database: worker, clock: systemClock, signing, memory: keptInMemory() });
  const kind: OrganizationKind = 'vendor';
  vendorId = (await createOrganization(api, db.operator, { name: 'A vendor', kind, country: 'CH' })).id;
  auditor = await tokenOf(db.authorityId, ['auditor']);
  officer = await tokenOf(db.authorityId, ['officer']);
  vendorAuditor = await tokenOf(vendorId, ['auditor']);
  await worker.transaction(async (tx) => {
    for (let n = 0; n < 300; n++) {
      await appendAudit(tx, { ...event(n), ownerOrgId: n % 10 === 0 ? vendorId : null, issuerOrgId: null });
    }
  });
  await sealAll();
  size = openCheckpoint((await plane.get('/v1/audit/checkpoint', auditor)).text, key).size;
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

const pem = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
const refused = (answer: { status: number; text: string }, status: number, code: string) =>
  expect({ status: answer.status, type: pem(answer.text)['type'] }).toEqual({
    status,
    type: `urn:touchmark:problem:${code}`,
  });

interface Listed {
  items: { id: string; at: string; action: string; actor: string; subject: string; outcome: string }[];
  nextCursor: string | null;
}

describe('GET /v1/audit/events', () => {
  test.each([
    ['action=key.issued', (one: Listed['items'][0]) => one.action === 'key.issued'],
    ['subject=key:17', (one: Listed['items'][0]) => one.subject === 'key:17'],
    ['actor=operator:3', (one: Listed['items'][0]) => one.actor === 'operator:3'],
    ['outcome=refused', (one: Listed['items'][0]) => one.outcome === 'refused'],
    [
      'from=2026-01-01T00:01:00Z&to=2026-01-01T00:02:00Z',
      (one: Listed['items'][0]) => one.at.startsWith('2026-01-01T00:01:'),
    ],
    ['to=2026-01-01T01:01:00%2B01:00', (one: Listed['items'][0]) => one.at.startsWith('2026-01-01T00:00:')],
  ])('filters by %s, page by page', async (query, fits) => {
    const all: Listed['items'] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const more: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const page = (await plane.get(`/v1/audit/events?${query}&limit=7${more}`, auditor)).json<Listed>();
      all.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(all.length).toBeGreaterThan(0);
    expect(all.filter((one) => !fits(one))).toEqual([]);
    const ids = all.map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => b - a));
    const whole = (await plane.get(`/v1/audit/events?${query}&limit=200`, auditor)).json<Listed>();
    expect(all.slice(0, 200)).toEqual(whole.items);
  });

  test('exports as CSV and as JSON Lines what the filters let through, more than a page', async () => {
    const csv = await plane.get('/v1/audit/events?to=2026-02-01T00:00:00Z', auditor, { accept: 'text/csv' });
    expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8');
    const lines = csv.text.split('\r\n');
    expect(lines[0]).toBe('id,at,actor,action,subject,outcome,requestId,detail');
    expect(lines).toHaveLength(1 + 300 + 1);
    expect(lines[1]).toContain('"key:299"');
    const jsonl = await plane.get('/v1/audit/events?to=2026-02-01T00:00:00Z', auditor, {
      accept: 'application/jsonl;q=1',
    });
    expect(jsonl.headers['content-type']).toBe('application/jsonl; charset=utf-8');
    const rows = jsonl.text.trimEnd().split('\n').map(pem);
    expect(rows).toHaveLength(300);
    expect(rows[299]).toMatchObject({ subject: 'key:0', detail: { n: 0 } });
  });

  test('shows an organization its own events alone, in every form', async () => {
    for (const accept of ['text/csv', 'application/jsonl', 'application/json']) {
      const { text } = await plane.get('/v1/audit/events?to=2026-02-01T00:00:00Z&limit=200', vendorAuditor, { accept });
      expect([...text.matchAll(/key:\d+/g)]).toHaveLength(30);
      expect([...text.matchAll(/key:\d*[1-9]"/g)]).toHaveLength(0);
    }
  });

  test.each(['from=yesterday', 'to=2026-13-01T00:00:00Z', 'outcome=good', 'nonsense=1', 'cursor=x'])(
    'refuses %s',
    async (query) => {
      expect((await plane.get(`/v1/audit/events?${query}`, auditor)).status).toBe(400);
    },
  );
});

describe('GET /v1/audit/checkpoint', () => {
  test('is a note that the key of the log signed, as text; of each size that was signed', async () => {
    const answer = await plane.get('/v1/audit/checkpoint', vendorAuditor);
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(openCheckpoint(answer.text, key)).toMatchObject({ origin: `touchmark/${db.authorityId}/audit`, size });
    expect(openCheckpoint((await plane.get('/v1/audit/checkpoint?size=256', auditor)).text, key).size).toBe(256);
    refused(await plane.get('/v1/audit/checkpoint?size=3', auditor), 404, 'notFound');
    refused(await plane.get('/v1/audit/checkpoint?size=-1', auditor), 400, 'malformed');
  });
});

describe('GET /v1/audit/proof', () => {
  interface Inclusion {
    leafIndex: number;
    treeSize: number;
    leafHash: string;
    hashes: string[];
    entry: string;
    checkpoint: string;
  }
  const hashes = (list: string[]): Buffer[] => list.map((one) => Buffer.from(one, 'hex'));

  test('proves each event: entry, path and checkpoint fit together', async () => {
    const page = (await plane.get('/v1/audit/events?limit=200', auditor)).json<Listed>();
    for (const { id, subject } of page.items.filter((_, i) => i % 10 === 5)) {
      const proof = (await plane.get(`/v1/audit/proof?event=${id}`, auditor)).json<Inclusion>();
      const { size: signed, root } = openCheckpoint(proof.checkpoint, key);
      const leaf = leafHash(Buffer.from(proof.entry));
      expect(leaf.toString('hex')).toBe(proof.leafHash);
      expect(proof.entry).toContain(subject);
      expect(proof.treeSize).toBe(signed);
      expect(verifyInclusion(proof.leafIndex, proof.treeSize, leaf, hashes(proof.hashes), root)).toBe(true);
    }
  });

  test('proves that a tree continues an earlier one', async () => {
    const before = openCheckpoint((await plane.get('/v1/audit/checkpoint?size=256', auditor)).text, key);
    const now = openCheckpoint((await plane.get(`/v1/audit/checkpoint?size=${size}`, auditor)).text, key);
    const answer = await plane.get(`/v1/audit/proof?from=256&to=${size}`, auditor);
    const { hashes: path } = answer.json<{ hashes: string[] }>();
    expect(verifyConsistency(256, size, hashes(path), before.root, now.root)).toBe(true);
    refused(await plane.get(`/v1/audit/proof?from=1&to=${size + 1000}`, auditor), 422, 'invalid');
    refused(await plane.get('/v1/audit/proof?from=5&to=3', auditor), 422, 'invalid');
  });

  test('an event that waits is not proved yet; one that is not there, or another organization’s, is not there', async () => {
    const worker = await db.as('worker');
    await worker.transaction((tx) => appendAudit(tx, event(5000)));
    const [row] = await db.sql<{ id: string }>(`select max(id)::text as id from audit`);
    refused(await plane.get(`/v1/audit/proof?event=${row!.id}`, auditor), 409, 'notSealed');
    const masked = (text: string) => text.replace(/"instance":"[^"]+"/, '');
    const absent = await plane.get('/v1/audit/proof?event=99999999', vendorAuditor);
    const [foreign] = await db.sql<{ id: string }>(`select id::text as id from audit where subject = 'key:1'`);
    const theirs = await plane.get(`/v1/audit/proof?event=${foreign!.id}`, vendorAuditor);
    expect([theirs.status, masked(theirs.text)]).toEqual([absent.status, masked(absent.text)]);
    refused(absent, 404, 'notFound');
    const [own] = await db.sql<{ id: string }>(`select id::text as id from audit where subject = 'key:10'`);
    expect((await plane.get(`/v1/audit/proof?event=${own!.id}`, vendorAuditor)).status).toBe(200);
  });

  test.each(['', 'event=0', 'event=x', 'event=1&from=1&to=2', 'from=1', 'to=1', 'event=1&event=2', 'from=0&to=1'])(
    'refuses ?%s',
    async (query) => {
      refused(await plane.get(`/v1/audit/proof?${query}`, auditor), 400, 'malformed');
    },
  );
});

describe('GET /v1/audit/export', () => {
  const lines = (text: string): Buffer[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => Buffer.from(line));

  test('is exactly the leaves of a checkpoint, and verifies offline', async () => {
    for (const at of [256, size]) {
      const { note } = { note: (await plane.get(`/v1/audit/checkpoint?size=${at}`, auditor)).text };
      const answer = await plane.get(`/v1/audit/export?size=${at}`, auditor);
      expect(answer.headers['content-type']).toBe('application/jsonl; charset=utf-8');
      expect(lines(answer.text)).toHaveLength(at);
      await expect(verifyExport(fileOf(lines(answer.text)), key, note)).resolves.toMatchObject({ size: at });
    }
    refused(await plane.get(`/v1/audit/export?size=${size + 100_000}`, auditor), 422, 'invalid');
  });

  test('is for the authority alone: of the role the permission, of the organization the whole', async () => {
    refused(await plane.get('/v1/audit/export', vendorAuditor), 403, 'forbidden');
    refused(await plane.get('/v1/audit/export', officer), 403, 'forbidden');
    refused(await plane.get('/v1/audit/export'), 401, 'unauthenticated');
  });

  test('shows what was done to the table, instead of hiding it', async () => {
    const { text: note } = await plane.get(`/v1/audit/checkpoint?size=${size}`, auditor);
    const [row] = await db.sql<{ id: string }>(`select event_id::text as id from audit_leaves where leaf_index = 100`);
    await db.tamper(`update audit set outcome = 'failed' where id = $1`, [row!.id]);
    const edited = lines((await plane.get(`/v1/audit/export?size=${size}`, auditor)).text);
    await expect(verifyExport(fileOf(edited), key, note)).rejects.toThrow(/line 101 is not an entry as it was written/);
    const shown = pem(edited[100]!.toString())['canonical'] as string;
    const outcome = pem(Buffer.from(shown, 'base64').toString())['outcome'];
    await db.tamper(`update audit set outcome = $2 where id = $1`, [row!.id, outcome]);
    const restored = lines((await plane.get(`/v1/audit/export?size=${size}`, auditor)).text);
    await expect(verifyExport(fileOf(restored), key, note)).resolves.toBeDefined();
  });
});

describe('/tlog (C2SP tlog-tiles)', () => {
  const bytes = async (path: string, token?: string) => {
    const answer = await plane.app
      .getHttpAdapter()
      .getInstance()
      .inject({
        method: 'GET',
        url: path,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      });
    return { status: answer.statusCode, body: answer.rawPayload, headers: answer.headers };
  };

  test('anybody can rebuild the tree from its tiles, and finds the root that was signed', async () => {
    await sealAll();
    const checkpoint = await bytes('/tlog/checkpoint');
    expect(checkpoint.headers['cache-control']).toBe('public, max-age=1');
    const { size: at, root } = openCheckpoint(checkpoint.body.toString(), key);
    const full = await bytes('/tlog/tile/0/000');
    const partial = await bytes(`/tlog/tile/0/001.p/${at - 256}`);
    const above = await bytes('/tlog/tile/1/000.p/1');
    expect([full.body.length, partial.body.length, above.body.length]).toEqual([8192, (at - 256) * 32, 32]);
    expect(full.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'cache-control': 'public, max-age=31536000, immutable',
    });
    // By the definition of RFC 6962 section 2.1, with nothing of ours.
    const sha = (...parts: Buffer[]) => hash('sha256', Buffer.concat(parts), 'buffer');
    const mth = (leaves: Buffer[]): Buffer => {
      if (leaves.length === 1) return leaves[0]!;
      let k = 1;
      while (k * 2 < leaves.length) k *= 2;
      return sha(Buffer.of(1), mth(leaves.slice(0, k)), mth(leaves.slice(k)));
    };
    const split = (body: Buffer) =>
      Array.from({ length: body.length / 32 }, (_, i) => body.subarray(i * 32, i * 32 + 32));
    expect(mth(split(full.body))).toEqual(above.body);
    expect(mth([...split(full.body), ...split(partial.body)])).toEqual(root);
  });

  test('entries are for the authority; each hashes to its leaf', async () => {
    const { body } = await bytes('/tlog/tile/entries/000', auditor);
    const tile = (await bytes('/tlog/tile/0/000')).body;
    let at = 0;
    for (let i = 0; i < 256; i++) {
      const length = body.readUInt16BE(at);
      expect(leafHash(body.subarray(at + 2, at + 2 + length))).toEqual(tile.subarray(i * 32, i * 32 + 32));
      at += 2 + length;
    }
    expect(at).toBe(body.length);
    expect((await bytes('/tlog/tile/entries/000')).status).toBe(401);
    expect((await bytes('/tlog/tile/entries/000', officer)).status).toBe(403);
    expect((await bytes('/tlog/tile/entries/000', vendorAuditor)).status).toBe(403);
  });

  test.each([
    '/tlog/tile/0/002',
    '/tlog/tile/0/001',
    '/tlog/tile/0/000.p/256',
    '/tlog/tile/1/000',
    '/tlog/tile/1/000.p/2',
    '/tlog/tile/8/000.p/1',
    '/tlog/tile/0/0',
    '/tlog/tile/0/',
    '/tlog/tile/',
    '/tlog/tile/x/000',
    '/tlog/tile/%65ntries/000',
    '/tlog/tile/0/../entries/000',
    '/tlog/tile//entries/000',
  ])('%s is no tile, and gives nobody an entry', async (path) => {
    const answer = await bytes(path);
    expect([401, 404]).toContain(answer.status);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.body.toString()).not.toContain('"action"');
  });
});
